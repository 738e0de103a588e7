"""The settings by what they are about; `vault.config` reads them."""
