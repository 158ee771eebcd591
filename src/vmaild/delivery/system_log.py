"""The log of programs whose standard error somebody outside reads: syslog(3).

The sender of a message may be shown what `vdeliver` says there; under inetd it is the client's connection.
"""

from __future__ import annotations

import logging
import syslog


class _SystemLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        urgent = record.levelno >= logging.ERROR
        # Octets that are no UTF-8 come as surrogates, and neither they nor a NUL can be said to syslog.
        text = self.format(record).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        for line in text.splitlines():
            syslog.syslog(syslog.LOG_ERR if urgent else syslog.LOG_INFO, line)


def system_log(program: str = "vdeliver") -> logging.Logger:
    """The logger of all of vmaild, which from the first call on writes there."""
    log = logging.getLogger("vmaild")
    if not log.handlers:
        syslog.openlog(program, syslog.LOG_PID, syslog.LOG_MAIL)
        log.addHandler(_SystemLog())
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
