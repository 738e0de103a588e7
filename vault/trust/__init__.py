"""How every other room reaches the warden: its client, its messages, its interfaces."""
