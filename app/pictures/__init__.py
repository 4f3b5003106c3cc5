"""Pictures from strangers: fetched under guard, hashed, disarmed and kept; decoders run in processes of their own."""
