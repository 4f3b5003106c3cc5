"""The sentiment classifiers and the learner that serves them."""

from __future__ import annotations

import pytest
from river import feature_extraction, linear_model, naive_bayes, optim

from models.review_learner import ReviewLearner
from models.sentiment import HashedSentimentClassifier, SentimentClassifier
from schemas.ids import derived_id
from tests.models.reviews import reviews


def test_it_is_the_mean_of_rivers_two_pipelines() -> None:
    ours = SentimentClassifier()
    bayes = feature_extraction.BagOfWords(ngram_range=(1, 2)) | naive_bayes.MultinomialNB()
    regression = feature_extraction.TFIDF() | linear_model.LogisticRegression(optim.SGD(1.0))
    for place, review in enumerate(reviews(200, unlabelled=0.0)):
        if place > 20:
            expected = (
                bayes.predict_proba_one(review.text)[True] + regression.predict_proba_one(review.text)[True]
            ) / 2
            assert ours.predict_proba_one({"text": review.text})[True] == pytest.approx(expected, abs=1e-9)
        ours.learn_one({"text": review.text}, review.positive)
        bayes.learn_one(review.text, review.positive)
        regression.learn_one(review.text, review.positive)


def test_nothing_learnt_says_half() -> None:
    assert SentimentClassifier().predict_proba_one({"text": "good"}) == {False: 0.5, True: 0.5}
    assert HashedSentimentClassifier(bits=8).predict_proba_one({"text": "good"}) == {False: 0.5, True: 0.5}


def test_the_vocabulary_stays_within_its_bound_and_forgets_the_rare() -> None:
    model = SentimentClassifier(most_terms=300)
    for review in reviews(500, unlabelled=0.0):
        model.learn_one({"text": review.text}, review.positive)
        assert len(model.naive_bayes.feature_counts) <= 300
    bayes = model.naive_bayes
    assert "brilliant" in bayes.feature_counts
    for label in (False, True):
        assert bayes.class_totals[label] == sum(counts[label] for counts in bayes.feature_counts.values())
    words = {term for term in bayes.feature_counts if isinstance(term, str)}
    assert set(model.tfidf.dfs) == words
    assert set(model.logistic.weights) <= words
    assert model.predict_proba_one({"text": "brilliant"})[True] > 0.6


def test_a_vast_text_is_cut() -> None:
    model = SentimentClassifier()
    model.learn_one({"text": "good " * 40_000}, True)
    assert model.naive_bayes.class_totals[True] <= 8000


@pytest.mark.parametrize("fast", [False, True])
def test_a_learner_tells_good_from_bad_before_it_sees_the_label(fast: bool) -> None:
    learner = ReviewLearner(fast=fast)
    records = reviews(1500)
    for record in records:
        learner.observe(record)
    found = learner.metrics()
    assert learner.labels == sum(record.positive is not None for record in records) < 1500
    assert (found["auc"] or 0) > 0.8
    assert (found["accuracy"] or 0) > 0.75
    assert (learner.skill() or 1) < 0.5
    assert learner.curve().points


def test_a_review_is_answered_once() -> None:
    learner = ReviewLearner()
    record = reviews(1, unlabelled=0.0)[0]
    said = learner.observe(record)
    assert said is not None
    assert said.event_id == derived_id("reviews-0-0", "sentiment")
    assert (said.film_id, said.source_record_id, said.positive) == ("tt1", "0", 0.5)
    before = learner.fingerprint()
    assert learner.observe(record) is None
    assert learner.fingerprint() == before


def test_a_review_without_a_label_teaches_nothing() -> None:
    learner = ReviewLearner()
    for record in reviews(20, unlabelled=1.0):
        said = learner.observe(record)
        assert said is not None
        assert said.positive == 0.5
    assert learner.labels == 0
    assert learner.metrics() == {"accuracy": None, "accuracy_majority": None, "auc": None}
