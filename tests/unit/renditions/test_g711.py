"""Against FFmpeg's decoders, which we did not write."""

import av
import numpy as np
import pytest

from vault.renditions.g711 import EXPAND, Law


@pytest.mark.parametrize(
    ("law", "codec"), [(Law.PCMU, "pcm_mulaw"), (Law.PCMA, "pcm_alaw")]
)
def test_every_octet_decodes_as_ffmpeg_decodes_it(law: Law, codec: str) -> None:
    decoder = av.AudioCodecContext.create(codec, "r")
    decoder.sample_rate = 8000
    decoder.layout = "mono"

    (frame,) = decoder.decode(av.Packet(bytes(range(256))))

    assert np.array_equal(frame.to_ndarray()[0], EXPAND[law])


@pytest.mark.parametrize("law", list(Law))
def test_the_tables_cannot_be_written(law: Law) -> None:
    with pytest.raises(ValueError, match="read-only"):
        EXPAND[law][0] = 1
