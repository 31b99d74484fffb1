"""No sentence of the reference is forgotten: each has a case, or a test that is named beside it in sentences.json."""

import json
import os
import re
import unittest
from pathlib import Path

import cases

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[2])
REFERENCE = SOURCE_DIR.parent / "shared/reference/document-store.md"
SENTENCES = json.loads((cases.FOLDER / "sentences.json").read_text())


def bare(text):
    """Without headings, marks of lists and what a table has around its rows."""
    lines = [line for line in text.splitlines() if not re.match(r"#|\| prefix |\| --- ", line)]
    return " ".join(re.sub(r"^- ", "", line) for line in lines).split()


class Sentences(unittest.TestCase):
    def test_each_has_a_case_or_a_test(self):
        said = {number for case in cases.load() for number in case.says}
        for sentence in SENTENCES:
            with self.subTest(sentence["text"]):
                files = sentence.get("shown_by", [])
                self.assertTrue(sentence["id"] in said or files or "open" in sentence, "neither a case nor a test")
                self.assertEqual([], [file for file in files if not (SOURCE_DIR / file).exists()], "tests not there")

    def test_none_is_open(self):
        self.assertEqual([], [each["open"] for each in SENTENCES if "open" in each])

    def test_each_case_names_sentences_that_are(self):
        known = {sentence["id"] for sentence in SENTENCES}
        for case in cases.load():
            self.assertTrue(case.says and known.issuperset(case.says), case)

    def test_each_case_has_a_name_of_its_own(self):
        names = [str(case) for case in cases.load()]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(len(names), 200)

    @unittest.skipUnless(REFERENCE.exists(), "the reference is not beside this repository")
    def test_they_are_the_reference_word_for_word(self):
        self.assertEqual(bare(REFERENCE.read_text()), " ".join(each["text"] for each in SENTENCES).split())


if __name__ == "__main__":
    unittest.main(verbosity=1)
