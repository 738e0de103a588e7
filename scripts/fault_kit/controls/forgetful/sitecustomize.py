"""A negative control: how far a stream has come is not kept outside its worker."""

from vault.tap.page import PageWriter

PageWriter.note = lambda *_: None
