"""Sub-commands of ``callvault``, one module per family."""
