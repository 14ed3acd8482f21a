"""What takes orders and reports their events: the interface, the mock filler, and Interactive Brokers.

May import the blotter's events and the schema, never the execution of a run. Begin with
:mod:`~stocklean_exec.brokers.base`; ``factory`` turns an address into a broker and is the only one that starts the
simulator.
"""
