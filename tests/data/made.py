"""Rows made for tests."""


def qa(question, answer="#### 1"):
    return {"question": question, "answer": answer}
