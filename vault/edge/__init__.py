"""What both HTTP listeners refuse before a route is looked at, and from whom."""
