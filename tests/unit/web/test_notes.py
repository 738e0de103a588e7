from vault.web.notes import Notes


def test_a_note_is_taken_once_and_by_its_session_alone() -> None:
    notes = Notes()
    notes.leave("a", "earlier")
    notes.leave("a", "done")

    assert ("", "done") == (notes.take("b"), notes.read("a"))
    assert ("done", "") == (notes.take("a"), notes.take("a"))


def test_what_nobody_fetches_makes_place() -> None:
    notes = Notes(most=2)
    for name in ("a", "b", "a", "c"):
        notes.leave(name, name)

    assert ["a", "", "c"] == [notes.read(name) for name in ("a", "b", "c")]
