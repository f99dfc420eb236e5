"""What is said in court: oaths, questions, answers, objections, with names, places, exhibits, numbers and dates."""

from __future__ import annotations

import random
from collections.abc import Iterator

SPEAKERS = ("clerk", "judge", "prosecutor", "defence", "witness", "expert")
_NAMES = (
    "Abernathy",
    "Okonkwo",
    "Delgado",
    "Whitfield",
    "Nakamura",
    "Petrov",
    "Lindqvist",
    "Moreau",
    "Castellano",
    "Fairbanks",
    "Ibrahim",
    "Sorensen",
    "Gallagher",
    "Mbeki",
    "Rosenthal",
    "Vandenberg",
    "Yilmaz",
    "Hawthorne",
    "Kowalski",
    "Pemberton",
)
_PLACES = (
    "Elm Street",
    "Harbor Road",
    "the Mercer warehouse",
    "the county hospital",
    "the north platform",
    "Dover Avenue",
    "the loading bay",
    "the second floor corridor",
    "the Riverside bank",
    "the parking garage",
)
_THINGS = (
    "a leather briefcase",
    "the signed contract",
    "a kitchen knife",
    "two shell casings",
    "the bank statement",
    "a torn receipt",
    "the security footage",
    "a silver bracelet",
    "the insurance policy",
    "a burned notebook",
    "the rental agreement",
)
_ACTS = (
    "left the building",
    "signed the document",
    "called the police",
    "parked the car",
    "opened the safe",
    "met the defendant",
    "heard the argument",
    "found the body",
    "returned the keys",
    "made the payment",
)
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_GROUNDS = ("hearsay", "leading the witness", "relevance", "speculation", "lack of foundation", "asked and answered")
_INJURIES = ("a fractured wrist", "a deep laceration", "severe bruising", "a concussion", "internal bleeding")

_LINES: dict[str, tuple[str, ...]] = {
    "clerk": (
        "Please raise your right hand and state your full name for the record.",
        "Do you solemnly swear to tell the truth, the whole truth, and nothing but the truth?",
        "Case number {case}, the People against {name}, is now in session.",
        "Let the record show that exhibit {exhibit} has been marked for identification.",
        "All rise. The Honorable Judge {name} is presiding over this court.",
    ),
    "judge": (
        "The objection is sustained. The jury will disregard the last answer.",
        "Overruled. You may answer the question, {title} {name}.",
        "Counsel, please approach the bench. We will recess for {minutes} minutes.",
        "Exhibit {exhibit} is admitted into evidence without objection.",
        "The court will reconvene on {month} {day} at {hour} in the morning.",
    ),
    "prosecutor": (
        "Where were you on the night of {month} {day}, when {title} {name} {act}?",
        "I am showing you exhibit {exhibit}, {thing} recovered from {place}. Do you recognize it?",
        "Is it true that you were paid {amount} dollars by {title} {name}?",
        "How many times did you see the defendant near {place} before that evening?",
        "Your Honor, the People call {title} {name} to the stand.",
    ),
    "defence": (
        "Objection, Your Honor, {ground}.",
        "My client was at {place} until {hour} that night, and {count} people saw him there.",
        "You told detective {name} that the man was {count} meters away, did you not?",
        "Isn't it possible that {thing} belonged to somebody else?",
        "I move to strike exhibit {exhibit} from the record, Your Honor.",
    ),
    "witness": (
        "I saw {title} {name} at {place} just before {hour}, carrying {thing}.",
        "No, sir, I never spoke with {title} {name} after the {ordinal} of {month}.",
        "It was raining, and the lights near {place} had been broken for {count} weeks.",
        "She {act} at about {hour}, and then she walked toward {place}.",
        "He told me that he owed {amount} dollars, and that he could not pay it back.",
    ),
    "expert": (
        "The patient had {injury}, which is consistent with a fall of {count} meters.",
        "We compared {count} samples from {place}, and {small} of them matched the defendant.",
        "In my opinion, the signature on exhibit {exhibit} was not written by {title} {name}.",
        "The temperature of the room was {degrees} degrees when the body was found.",
        "I have examined more than {amount} cases in {years} years of practice.",
    ),
}
_ORDINALS = ("second", "third", "fourth", "fifth", "ninth", "tenth", "twelfth", "fifteenth", "twentieth", "thirtieth")


def lines(count: int, generator: random.Random) -> Iterator[tuple[str, str]]:
    """Yield pairs of a speaker and what is said, as a transcript would write it."""
    for _ in range(count):
        speaker = generator.choice(SPEAKERS)
        yield (
            speaker,
            generator.choice(_LINES[speaker]).format(
                name=generator.choice(_NAMES),
                title=generator.choice(("Mr.", "Mrs.", "Dr.")),
                place=generator.choice(_PLACES),
                thing=generator.choice(_THINGS),
                act=generator.choice(_ACTS),
                month=generator.choice(_MONTHS),
                ordinal=generator.choice(_ORDINALS),
                ground=generator.choice(_GROUNDS),
                injury=generator.choice(_INJURIES),
                case=generator.randint(1000, 9999),
                exhibit=generator.randint(2, 99),
                minutes=generator.choice((10, 15, 20, 30, 45)),
                day=generator.randint(1, 28),
                hour=generator.choice(("nine", "ten", "eleven", "seven", "eight")),
                amount=generator.choice((250, 400, 750, 1200, 3500, 5000)),
                count=generator.randint(2, 40),
                small=generator.randint(2, 9),
                degrees=generator.randint(11, 31),
                years=generator.randint(11, 35),
            ),
        )
