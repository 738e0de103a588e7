"""The auditor: looks after the trail from outside, and holds no key."""
