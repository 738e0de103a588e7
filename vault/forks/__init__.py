"""The media-fork API, for PBXes that do not speak SIPREC.  HTTP only."""
