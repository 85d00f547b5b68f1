"""The figures of the plant: what comes in, what is lost and gained on the way, what a rod carries. Made up within
what a plant of this kind would call usual; kilograms to ten grams, degrees Celsius to a tenth, never a float.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Material:
    """Meat as a supplier brings it.

    lots: how many a run is given. kg: least and most that one weighs. loss: least and most that deboning takes off, in
    thousandths.
    """

    name: str
    lots: int
    kg: tuple[int, int]
    loss: tuple[int, int]


MELL: Final = Material("mell", 3, (175, 205), (50, 80))  # breast
BOR: Final = Material("bőr", 1, (150, 180), (5, 20))  # skin
COMBFILE: Final = Material("combfilé", 2, (140, 160), (60, 100))  # thigh fillet
MATERIALS: Final = (MELL, BOR, COMBFILE)
"""Together about 1,030 kg; with marinade, a mix of about a ton."""

SUPPLIERS: Final = {
    MELL.name: "Alföld Poultry",
    BOR.name: "Tisza Meat",
    COMBFILE.name: "Duna Poultry",
}

DRIP: Final = (0, 3)
"""Loss in the buffer, in thousandths."""

MARINADE: Final = (25, 45)
"""Marinade that mixing adds."""

HALF: Final = (450, 550)

FREEZING_LOSS: Final = (4, 12)
"""Loss in the freezer."""

RODS_OF_A_RACK: Final = {"15": 16, "30": 10}
"""Rods of 15 or 30 kg that make a lot of skewers."""

CHILLED: Final = ("1.0", "3.9")
FROZEN: Final = ("-23.0", "-18.0")
SHIPPED: Final = ("-21.0", "-18.0")

CUSTOMERS: Final = ("Wien Grill GmbH", "Kebab House Bratislava", "Szeged Döner Kft.", "Imbiss Graz")

CENTIGRAMS: Final = Decimal("0.01")


def kilograms(random: Random, least: int, most: int) -> Decimal:
    """A weight between two, to ten grams."""
    return Decimal(random.randint(least * 100, most * 100)) / 100


def share(random: Random, kg: Decimal, thousandths: tuple[int, int]) -> Decimal:
    """So many thousandths of a weight, to ten grams."""
    return (kg * random.randint(*thousandths) / 1000).quantize(CENTIGRAMS)


def celsius(random: Random, between: tuple[str, str]) -> Decimal:
    """A temperature, to a tenth of a degree."""
    least, most = (int(Decimal(each) * 10) for each in between)
    return Decimal(random.randint(least, most)) / 10


def racks(kg: Decimal, skus: Sequence[str]) -> list[tuple[str, int]]:
    """The lots of skewers that a mix gives: SKU and rods. One lot of each SKU but the first, the rest of the first.

    What is not enough for a rod is left, and goes as trimmings.
    """
    found = [(sku, RODS_OF_A_RACK[sku]) for sku in skus[1:]]
    main = skus[0]
    left = kg - sum(int(sku) * rods for sku, rods in found)
    while rods := min(RODS_OF_A_RACK[main], int(left / int(main))):
        found.append((main, rods))
        left -= int(main) * rods
    return found
