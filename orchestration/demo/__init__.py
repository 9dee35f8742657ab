"""The demo world: a small simulated company that plays the source systems and the outside world.

Belongs here: everything that invents people, their behaviour, the mess of the source systems and
their reactions to messages. Does not belong here: anything the pipeline itself needs to run;
nothing outside this package may depend on the truth it keeps.

The world is a function of ``(seed, people, start)`` and of the messages it was shown. Every draw
is keyed by what it is about (a person, a visit, an order) instead of by its turn in a sequence,
so advancing in one stride or in many gives the same sources.
"""
