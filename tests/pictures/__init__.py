"""Pictures: fetched, hashed, disarmed, recognised."""
