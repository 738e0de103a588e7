"""A negative control: what a store says that it took is not read back."""

from vault.objects.s3 import S3Store
from vault.spool.shipper import Shipper

S3Store._verify = lambda *_: None
Shipper._compare_envelope = Shipper._look_again = lambda *_: None
