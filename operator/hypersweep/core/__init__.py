"""The pure half of HyperSweep: what a sweep is and what to do next. No I/O, no clock, no asyncio in here."""
