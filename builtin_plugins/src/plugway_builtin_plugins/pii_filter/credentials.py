"""The shapes of API keys and other credentials whose prefixes or framing give them away."""

_WORD = "[0-9A-Za-z_-]"
_PRIVATE = "[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
_NAMED = r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
"""What stands between a name and its value."""

CREDENTIALS: tuple[str, ...] = (
    # AWS: access key ids, and the secret next to a name that says so
    r"\b(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[0-9A-Z]{16}\b",
    rf"(?i:aws_?(?:secret_?)?(?:access_?)?key{_NAMED})([0-9A-Za-z/+]{{40}})(?:[^0-9A-Za-z/+=]|$)",
    # source forges and package registries
    r"\bgh[opusr]_[0-9A-Za-z]{36,255}\b",
    r"\bgithub_pat_[0-9A-Za-z_]{22,255}\b",
    rf"\bgl(?:pat|ptt|dt|rt|cbt|soat)-{_WORD}{{20,}}",
    r"\bnpm_[0-9A-Za-z]{36}\b",
    rf"\bpypi-AgEIcHlwaS5vcmc{_WORD}{{50,}}",
    r"\bhf_[0-9A-Za-z]{30,}\b",
    rf"\bATATT3{_WORD}{{20,}}={{0,2}}[0-9A-F]{{0,8}}",
    # chat and mail
    r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    r"\bxapp-\d-[0-9A-Za-z-]{10,}",
    r"\bhooks\.slack\.com/services/[0-9A-Za-z/]{20,}",
    rf"\b\d{{8,10}}:AA{_WORD}{{33}}\b",
    rf"\bSG\.{_WORD}{{16,32}}\.{_WORD}{{16,64}}",
    r"\bSK[0-9a-f]{32}\b",
    # clouds
    rf"\bAIza{_WORD}{{35}}",
    rf"\bGOCSPX-{_WORD}{{28}}",
    rf"\bya29\.{_WORD}{{20,}}",
    r"\bdo[oprt]_v1_[0-9a-f]{64}\b",
    r"\bdapi[0-9a-f]{32}\b",
    r"\bhv[bs]\.[0-9A-Za-z_-]{24,}",
    r"\bAccountKey=[0-9A-Za-z+/]{86}==",
    r"\bsh(?:pat|pca|ppa|pss)_[0-9a-fA-F]{32}\b",
    # payment
    r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}\b",
    r"\bwhsec_[0-9A-Za-z+/]{24,}",
    # models
    rf"\bsk-ant-{_WORD}{{20,}}",
    rf"\bsk-(?:proj|svcacct|admin|or-v1|None)-{_WORD}{{20,}}",
    r"\bsk-[0-9A-Za-z]{20,}\b",
    r"\bgsk_[0-9A-Za-z]{40,}\b",
    r"\bxai-[0-9A-Za-z]{40,}\b",
    # framed secrets of any origin
    rf"\beyJ{_WORD}{{8,}}\.eyJ{_WORD}{{8,}}\.{_WORD}*",
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b",
    rf"(?s:-----BEGIN {_PRIVATE}.*?(?:-----END {_PRIVATE}|\z))",
    rf"\b(?i:authorization{_NAMED}(?:bearer|basic)\s{{1,3}})([0-9A-Za-z._~+/=-]{{8,}})",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\[\]]{1,64}:([^\s/@\[\]]{1,256})@",
)
"""RE2 patterns; each finds a whole credential, or has it in a group."""
