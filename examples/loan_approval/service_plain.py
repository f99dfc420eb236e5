"""Decides on loans: applications in, the probability of a default and its strongest reasons out, by either model."""

from __future__ import annotations

import bentoml
import numpy as np

from application import Application, Decision
from audit import AuditLog
from deciding import Origin, decisions_of
from model import (
    contributions_of_trees,
    load_encoding,
    load_network,
    load_trees,
    log_odds_and_contributions,
    probability,
)


@bentoml.service
class LoanApproval:
    """Decides on applications for loans, and writes each decision into an audit log."""

    def __init__(self) -> None:
        self.audit = AuditLog()
        self.encoding = load_encoding()
        self.booster = load_trees()
        self.trees = self.booster
        network = load_network()
        self.typical = network.typical.numpy()
        self.network = network

    @bentoml.api(batchable=True)
    def decide(self, applications: list[Application]) -> list[Decision]:
        """Decide by boosted trees."""
        features = self.encoding.encode(applications)
        probabilities = np.asarray(self.trees.predict(features))
        contributions = contributions_of_trees(self.booster, features)
        decided = Origin("trees")
        decisions = decisions_of(decided, probabilities, contributions)
        self.audit.append(decisions, applications)
        return decisions

    @bentoml.api(batchable=True)
    def decide_by_network(self, applications: list[Application]) -> list[Decision]:
        """Decide by a network."""
        features = self.encoding.encode(applications)
        log_odds, contributions = log_odds_and_contributions(self.network, self.typical, features)
        decided = Origin("network")
        decisions = decisions_of(decided, probability(log_odds), contributions)
        self.audit.append(decisions, applications)
        return decisions
