"""Where sealed octets rest: ciphertext in and out.  Nothing here holds a key."""
