"""One run: from an approved plan to recorded fills, and again after a crash.

Submission, the runner and its send gate, recovery, reconciliation and residual orders. May import brokers, risk
and the blotter. Begin with :mod:`~stocklean_exec.execution.submission`, then ``runner`` and ``recovery_rules``.
"""
