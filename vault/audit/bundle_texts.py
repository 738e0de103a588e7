"""The words of a bundle's report and README; ``{…}`` is filled in, escaped for HTML.

Guarantees: nothing in here is loaded from anywhere, or run.

Left to others: what is filled in (`vault.audit.bundle_report`).
"""

from typing import Final

WARNING: Final = (
    "The verifier key in this bundle proves nothing by itself: whoever made the "
    "bundle could have put another one in. Get the key another way (from the officer "
    "who wrote it down when the vault was set up, on paper, or from an earlier export) "
    "and compare every character before you trust the result."
)

_LIMITS: Final = """\
Proved: every entry in here stands in the log that the key signed, at its place,
unchanged in every octet.

Proved, where the export goes on from an earlier one: nothing that the earlier one
stood for was changed or taken away since.

Not proved: that a selection is complete. Only an export of the whole log shows that
nothing was left out.

Not proved: that everything that happened was logged, or that somebody with both the
database and the signing key did not write another log. An earlier export, or a
witness's signature, kept elsewhere, shows that.

Names of people beside their ids come from the vault's list of people at the time of
the export. They are no part of the log and not proved; the ids are.

What people typed (reasons, notes) is not in the log, only a keyed digest of it: it can
be shown to be the same text later, and erased without changing the log."""
LIMITS: Final = tuple(" ".join(one.split()) for one in _LIMITS.split("\n\n"))

README: Final = """\
EXTRACT OF AN AUDIT TRAIL

{summary}

WHAT TO DO

  1. Compare the digests:       sha256sum -c SHA256SUMS
  2. Get the key another way, and compare it with verifier-key.txt.
  3. Check everything else:
     {command}
     It needs Python 3.9 or newer, and nothing of the vault.  Exit status 0 and
     "VERIFIED" mean that every entry is what was signed; "NOT VERIFIED" names the
     first entry that cannot be trusted.
  4. Read report.html, or print it.

THE KEY

  {warning}

WHAT THIS PROVES, AND WHAT NOT

{limits}

FILES

  entries.jsonl            the entries, each with its proof; one JSON object a line
  checkpoint.txt           the signed statement of how large the log is, and its root
  checkpoint-earlier.txt   the one of an earlier export, if this one goes on from it
  statement.json           what was asked for, and what was written
  verifier-key.txt         the public key of the log
  verify-trail             the program that checks it; read it, it is one file
  report.html              the same for people, to read and to print
  SHA256SUMS               digests of all these files

Formats: RFC 6962 (Merkle tree, SHA-256), C2SP signed-note and tlog-checkpoint
(Ed25519), RFC 8785 (canonical JSON).
"""

STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  color: #16191d; background: #fff; margin: 0 auto; max-width: 1100px; padding: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #b8bec6;
  padding-bottom: .2rem; }
p { margin: .5rem 0; max-width: 46rem; }
.log { color: #4a525c; margin: 0 0 1.5rem; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .3rem 1rem; margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
pre, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
pre, code { font-size: .85em; }
pre { background: #f3f5f7; border: 1px solid #d5dae0; padding: .7rem; margin: .5rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.warning { border-left: 4px solid #b45309; background: #fff7ed; padding: .7rem 1rem;
  max-width: none; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; }
th { text-align: left; background: #f3f5f7; }
th, td { border: 1px solid #d5dae0; padding: .25rem .4rem; vertical-align: top;
  overflow-wrap: anywhere; }
thead { display: table-header-group; }
th, .entries td:nth-child(1), .entries td:nth-child(4), .entries td:nth-child(5) {
  overflow-wrap: normal; white-space: nowrap; }
tr { break-inside: avoid; }
ol li, ul li { margin: .4rem 0; max-width: 46rem; }
.signed { margin-top: 3rem; display: grid; grid-template-columns: 1fr 1fr; gap: 3rem; }
.signed div { border-top: 1px solid #16191d; padding-top: .3rem; }
@media (max-width: 40rem) {
  body { padding: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  .wide { overflow-x: auto; }
  .wide table { min-width: 52rem; }
}
@media print {
  @page { size: A4; margin: 16mm 14mm; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  table { font-size: 7.5pt; }
  h2 { break-after: avoid; }
  pre, .warning { background: #fff; break-inside: avoid; }
  .entries { break-before: page; }
}
"""

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'">
<title>Extract of the audit trail {origin}</title>
<style>{style}</style>
</head>
<body>
<h1>Extract of an audit trail</h1>
<p class="log">{origin}</p>
<dl>{summary}</dl>

<h2>The key</h2>
<p class="warning">{warning}</p>
<pre>{key}</pre>

<h2>How to verify</h2>
<ol>
<li>Unpack the archive that this report came in, and open a terminal in its folder.</li>
<li>Compare the digests of all files:<pre>sha256sum -c SHA256SUMS</pre></li>
<li>Get the verifier key another way, and compare it with the one above.</li>
<li>Check signatures, proofs and every entry with the program in the archive. It is one
file that can be read in a sitting, needs Python 3.9 or newer and nothing of the vault:
<pre>{command}</pre>
<code>VERIFIED</code> means that every entry is what was signed; <code>NOT
VERIFIED</code> names the first entry that cannot be trusted.</li>
<li>Or check it with tools of your own: a leaf of the tree is the SHA-256 of the octet
0x00 and the canonical JSON (RFC 8785) of an entry, proofs are those of RFC 6962, and
the checkpoint is a C2SP signed note with an Ed25519 signature.</li>
</ol>

<h2>The checkpoint</h2>
<p>The signed statement under which all entries stand: the name of the log, how many
entries it had, and the root of its tree.</p>
<pre>{checkpoint}</pre>

<h2>The files</h2>
<div class="wide">{files}</div>
<p>README.txt and this report are in SHA256SUMS, too.</p>

<h2>What this proves, and what not</h2>
<ul>{limits}</ul>

<div class="signed"><div>Place and date</div><div>Name and signature</div></div>

<section class="entries">
<h2>The entries</h2>
<p>{shown}</p>
<div class="wide">{entries}</div>
</section>
</body>
</html>
"""
