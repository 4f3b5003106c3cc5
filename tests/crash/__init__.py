"""Workers that are killed, starved of their servers, fed poison and stopped: nothing is lost or counts twice."""
