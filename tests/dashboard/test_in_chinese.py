"""In Chinese every page speaks Chinese: no English is left but names, settings and code."""

import re

import pytest
from tests.dashboard.conftest import make_site
from tests.dashboard.gallery import Gallery
from tests.dashboard.looking import open_page, see_all, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning"),
]

READ = """() => {
  const found = [];
  const skipped = "code, pre, textarea, script, noscript, template, math, [lang=en], .brand";
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.parentElement.closest(skipped)) found.push(node.textContent);
  }
  for (const name of ["aria-label", "title", "placeholder"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      if (!element.closest("[aria-hidden=true]")) found.push(element.getAttribute(name));
    }
  }
  return found.map((text) => text.trim()).filter(Boolean);
}"""
NAMES = """
    bakeoff LoRA QLoRA LLaMA Factory ms swift Qwen Qwen2 GSM8K AutoDL SmolLM2 GeForce RTX GTX Tesla
    laptop Ti Intel Xeon Linux CPU GPU CUDA GB GiB MiB TFLOP UTC YAML Ctrl Enter Shift AdamW torch
    python transformers peft git logits PSS RSS MFU TPE CMA ES Hyperband PED ANOVA Watanabe Pareto
    Wilson Holm McNemar BCa TOST Kendall Spearman Miller arXiv nat strict match flexible extract
    exact
"""
"""Of things, units, statistics and metrics, as Chinese authors write them."""

SETTINGS = """
    lora full freeze builtin llamafactory swift qlora bf16 fp32 mixed cosine linear all cpu method
    seed data standard half done quickstart gsm symbolic qwen laptop autodl compare distributed
    frameworks vs search transfer smollm2 train broken prompt response
"""
"""Values of recipes, names of presets, studies and runs."""

ALLOWED = {word.lower() for word in (NAMES + SETTINGS).split()}
ID = re.compile(r"[\w.\-/:]*(?:\d[a-f]|[a-f]\d|_|/|\.\w|://|=)[\w.\-/:=]*")
"""Digests, paths, keys of settings, `name=value`."""


def english_of(text: str) -> list[str]:
    """Words of two letters and more; of a name that was cut short, what is there of it."""
    words = re.findall(r"[A-Za-z]{2}[A-Za-z0-9]*+(?!…)", ID.sub(" ", text))
    return [word for word in words if word.lower() not in ALLOWED]


def test_every_page_speaks_chinese(browser, tmp_path, tiny_model, tiny_data):
    gallery = Gallery(tmp_path, tiny_model, tiny_data)
    page = open_page(browser, language="zh")
    left = {}
    with served(make_site(gallery.runs_dir)) as address:
        for path in gallery.addresses():
            page.goto(address + path)
            if path.endswith("/data"):
                page.locator("#check button").click()
                page.locator("#check strong").wait_for()
            see_all(page)
            page.evaluate(
                "document.querySelectorAll('details').forEach((each) => (each.open = true))"
            )
            see_all(page)
            for text in page.evaluate(READ):
                if english_of(text) and text != gallery.FAILURE:
                    left.setdefault(text[:200], path)
    # The server's 404 is a message of the browser's.
    complaints = [text for text in page.complaints if "404" not in text]
    page.context.close()
    assert (left, complaints) == ({}, [])
