"""Writes questions.jsonl beside this file: one working day of the agents of an imagined web shop.

Nothing in it is real. Jobs arrive in bursts: a job sets several agents to work at once, and each
asks its tools a few things. What they ask follows Zipf's law, so that a few questions come again
and again, often while the first of them is still being answered. Some agents put the time or an id
into their question, which makes it one of a kind. Run it again and it writes the same bytes.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

SEED = 20_240_613
JOBS = 70
START = datetime(2024, 6, 13, 8, 0, tzinfo=UTC)

AGENTS = ("triage", "support-1", "support-2", "support-3", "returns", "pricing", "briefing")

# By tool, what is asked most first; {sku} and {city} are filled in, most frequent first too.
QUESTIONS = {
    "search_help": (
        "What is the refund policy for opened items?",
        "How long does standard delivery take?",
        "Can a customer change the delivery address after ordering?",
        "Which countries do we ship to?",
        "How do I report a damaged parcel?",
        "What does express delivery cost?",
        "How long is the warranty on small appliances?",
        "Is there a fee for paying by invoice?",
        "How can a gift card be combined with a voucher?",
        "Who pays for the return of a large item?",
        "What happens when a parcel is not picked up?",
        "Does the price guarantee cover marketplace sellers?",
    ),
    "get_stock": ("How many of {sku} are in stock?", "When is {sku} delivered again?"),
    "get_price": ("What is the price of {sku}?", "Is there a discount on {sku}?"),
    "get_weather": ("What is the weather in {city} today?",),
    "web_search": (
        "Which carriers are on strike this week?",
        "What do competitors charge for express delivery?",
        "What do reviews say about the {sku}?",
        "Is there a product recall for the {sku}?",
    ),
    "summarize": (
        "Summarize the open complaints about {sku}.",
        "Summarize yesterday's returns.",
        "Write a one-line status of the warehouse in {city}.",
    ),
}
SKUS = ("KX-200", "KX-210", "M-14", "T-900", "LUX-3", "B-77", "R-5", "Z-1", "Q-80", "V-12")
CITIES = ("Utrecht", "Leipzig", "Lyon", "Gdansk", "Turin", "Malmo")
TOOLS = tuple(QUESTIONS)


def zipf(random_: random.Random, items: tuple[str, ...]) -> str:
    """Return an item, the n-th with a probability in proportion to 1/n."""
    weights = list(accumulate(1 / rank for rank in range(1, len(items) + 1)))
    return random_.choices(items, cum_weights=weights)[0]


def question(random_: random.Random, tool: str) -> str:
    """Return what an agent asks a tool."""
    text = zipf(random_, QUESTIONS[tool])
    return text.format(sku=zipf(random_, SKUS), city=zipf(random_, CITIES))


def reworded(random_: random.Random, text: str, now: datetime) -> str:
    """Return the question as it comes out of an agent now and then."""
    draw = random_.random()
    if draw < 0.03:
        return f"[{now:%Y-%m-%dT%H:%M:%S}Z] {text}"
    if draw < 0.05:
        return f"{text} (request_id={uuid.UUID(int=random_.getrandbits(128), version=4)})"
    if draw < 0.09:
        return text.lower()
    if draw < 0.12:
        return f"Please tell me: {text[0].lower()}{text[1:]}"
    return text


def calls(seed: int) -> Iterator[dict[str, str]]:
    """Yield the calls of the day, by time."""
    random_ = random.Random(seed)
    found = []
    start = START
    for _ in range(JOBS):
        start += timedelta(seconds=random_.expovariate(1 / 400))
        topic = [(tool := zipf(random_, TOOLS), question(random_, tool)) for _ in range(2)]
        for agent in random_.sample(AGENTS, random_.randint(3, 6)):
            now = start + timedelta(seconds=random_.uniform(0, 0.8))
            for _ in range(random_.randint(1, 4)):
                # Agents at one job ask much the same, and a little of their own.
                own = zipf(random_, TOOLS)
                tool, text = (
                    random_.choice(topic) if random_.random() < 0.55
                    else (own, question(random_, own))
                )  # fmt: skip
                stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                asked = reworded(random_, text, now)
                found.append({"time": stamp, "agent": agent, "tool": tool, "question": asked})
                now += timedelta(seconds=random_.uniform(0.3, 4.0))
    yield from sorted(found, key=lambda call: call["time"])


def text(seed: int = SEED) -> str:
    """Return the whole file."""
    return "".join(json.dumps(call) + "\n" for call in calls(seed))


if __name__ == "__main__":
    (Path(__file__).parent / "questions.jsonl").write_text(text(), encoding="utf-8")
