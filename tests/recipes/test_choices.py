from dataclasses import FrozenInstanceError

import pytest

from localmim.recipes import Choice
from localmim.recipes.choices import asked


def test_a_choice_is_a_value_with_its_reason():
    choice = Choice(3, "why not")
    assert (choice.value, choice.why) == (3, "why not") and choice == Choice(3, "why not")
    with pytest.raises(FrozenInstanceError):
        choice.value = 4


@pytest.mark.parametrize("value", [0, 64, "vit-small", (0.2, 1.0)])
def test_what_the_user_said_is_kept(value):
    assert asked(value) == Choice(value, "as you said")
