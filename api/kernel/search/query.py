"""Queries of the search index: words with tolerance for typos, limited to what a caller can see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from api.kernel.permissions.access import READ_AUDIT_LOG, Access
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform
from api.kernel.search.document import Source, project_of
from api.kernel.securable import PLATFORM, ROOT, Securable

if TYPE_CHECKING:
    import tantivy

_WEIGHTS = {"name": 4.0, "title": 4.0, "words": 2.0, "description": 1.0}
"""Fields that words are searched in, with the weight of a match."""

_MAX_TERMS = 64
"""Number of terms with the same beginning that are searched one by one."""

_TYPO_CHARACTERS = 4
"""Number of characters from which a word may have a typo. From twice this, it may have two."""


def words_query(
    schema: tantivy.Schema, searcher: tantivy.Searcher, words: Sequence[str], *, typos: bool
) -> tantivy.Query:
    """Returns the query for documents that contain all words, or words that begin like them.

    Args:
        schema: schema of the index.
        searcher: the state of the index that the query is for.
        words: the words as the index has them.
        typos: whether words with typos match as well.
    """
    from tantivy import Occur, Query

    if not words:
        return Query.all_query()
    return Query.boolean_query([(Occur.Must, _word(schema, searcher, word, typos=typos)) for word in words])


def _word(schema: tantivy.Schema, searcher: tantivy.Searcher, word: str, *, typos: bool) -> tantivy.Query:
    from tantivy import Occur, Query

    typos_allowed = min(2, len(word) // _TYPO_CHARACTERS) if typos else 0
    either: list[tuple[Occur, tantivy.Query]] = []

    def add(query: tantivy.Query, weight: float) -> None:
        either.append((Occur.Should, Query.boost_query(query, weight)))

    for field, weight in _WEIGHTS.items():
        add(Query.term_query(schema, field, word, "freq"), weight)
        listed = len(word) > 2
        beginning = searcher.terms_with_prefix(field, word, limit=_MAX_TERMS + 1) if listed else []
        if listed and len(beginning) <= _MAX_TERMS:
            for term, _ in beginning:
                if term != word:
                    add(Query.term_query(schema, field, term, "freq"), weight / 4)
        else:
            # Scans all documents, but its cost doesn't grow with the number of terms.
            add(Query.fuzzy_term_query(schema, field, word, distance=0, prefix=True), weight / 4)
        for distance in range(1, typos_allowed + 1):
            add(Query.fuzzy_term_query(schema, field, word, distance=distance), weight / 8)
    return Query.boolean_query(either)


def one_of(schema: tantivy.Schema, field: str, values: Iterable[str]) -> tantivy.Query:
    """Returns the query for documents with one of these values in a field."""
    from tantivy import Query

    return Query.const_score_query(Query.term_set_query(schema, field, sorted(values)), 0.0)


class Visible:
    """The query for the documents that a caller can see.

    It follows from the same compiled rules as lists: the index knows only the scope of each document, and this class
    finds out on which scopes and on which items the rules hold now.
    """

    def __init__(
        self,
        platform: Platform,
        connection: Connection,
        schema: tantivy.Schema,
        access: Access,
        scopes: Collection[str],
    ) -> None:
        """Prepares the queries.

        Args:
            platform: the shared objects of the process.
            connection: a connection to the metadata database.
            schema: schema of the index.
            access: the rights of the caller.
            scopes: the scopes of all documents.
        """
        self._platform = platform
        self._connection = connection
        self._schema = schema
        self._access = access
        self._securables = _securables(platform.part(Projects), scopes)

    def of(self, sources: Sequence[Source], asset_kinds: Mapping[str, str]) -> tantivy.Query:
        """Returns the query for the documents of sources and of assets that the caller can see.

        Args:
            sources: the kinds in the metadata database.
            asset_kinds: the kinds of assets, each with the permission to see one.
        """
        from tantivy import Occur, Query

        clauses = [self._rows(source) for source in sources]
        clauses += [self._kind(kind, permission, assets=True) for kind, permission in asset_kinds.items()]
        found = [(Occur.Should, clause) for clause in clauses if clause is not None]
        return Query.const_score_query(Query.boolean_query(found), 0.0) if found else Query.empty_query()

    def _rows(self, source: Source) -> tantivy.Query | None:
        if source.by_condition and self._access.conditional(source.permission):
            # A condition depends on fields that the index does not have.
            ids = source.visible(self._platform, self._connection, self._access)
            return self._of_kind(source.kind, any_of=[one_of(self._schema, "id", ids)]) if ids else None
        return self._kind(source.kind, source.permission, assets=source.in_asset_scopes, by_item=source.by_item)

    def _kind(self, kind: str, permission: str, *, assets: bool = False, by_item: bool = True) -> tantivy.Query | None:
        allow, deny = self._access.rules_for(permission)
        allowed = {id for id, rules in allow.items() if any(rule.holds(None) for rule in rules)}
        denied = {id for id, rules in deny.items() if any(rule.holds(None) for rule in rules)}
        if not allowed or PLATFORM in denied:
            return None
        audited = self._access.allows(READ_AUDIT_LOG, ROOT)
        scopes, refused = set(), set()
        for scope, place in self._securables.items():
            if (project_of(scope) is not None) is not assets:
                continue
            chain = set(place.chain)
            if not chain.isdisjoint(denied) or (project_of(scope) == PLATFORM and not audited):
                refused.add(scope)
            elif not chain.isdisjoint(allowed):
                scopes.add(scope)
        ids = allowed - denied if by_item else set()
        clauses = [one_of(self._schema, "scope", scopes)] if scopes else []
        clauses += [one_of(self._schema, "id", ids)] if ids else []
        if not clauses:
            return None
        without = [one_of(self._schema, "scope", refused)] if refused else []
        without += [one_of(self._schema, "id", denied)] if denied else []
        return self._of_kind(kind, any_of=clauses, without=without)

    def _of_kind(
        self,
        kind: str,
        *,
        any_of: Sequence[tantivy.Query],
        without: Sequence[tantivy.Query] = (),
    ) -> tantivy.Query:
        from tantivy import Occur, Query

        parts = [(Occur.Must, Query.term_query(self._schema, "kind", kind, "basic"))]
        parts.append((Occur.Must, Query.boolean_query([(Occur.Should, query) for query in any_of])))
        parts += [(Occur.MustNot, query) for query in without]
        return Query.boolean_query(parts)


def _securables(projects: Projects, scopes: Collection[str]) -> dict[str, Securable]:
    """Returns the securable of each scope. A scope that no longer exists has none."""
    known = projects.by_id()
    places: dict[str, Securable] = {}
    for scope in scopes:
        if (name := project_of(scope)) is not None:
            places[scope] = ROOT if name == PLATFORM else projects.of(name)
        elif scope in known:
            places[scope] = known[scope]
        elif scope.startswith("org_"):
            places[scope] = Securable("admin.organization", scope, scope)
    return places
