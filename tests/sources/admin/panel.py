"""An admin panel to pull from: the tables of SOURCES in any database, and changes to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from orchestration.sources.admin.tables import ADMIN_TABLES, AdminTable


class Panel:
    """A panel's database, open for writing.

    On SQLite times are text and flags are numbers; on PostgreSQL times are `timestamp`, money is
    `numeric` and flags are `smallint`, as a company that runs one would have them.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url, poolclass=NullPool)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.tables: dict[str, sa.Table] = {}
        self._metadata = sa.MetaData()

    def create(self, *, with_optional: bool = False, only: str | None = None) -> None:
        """Create the tables, or one of them, empty."""
        for table in ADMIN_TABLES:
            if only not in {None, table.source_name}:
                continue
            if with_optional or not table.is_optional:
                self.tables[table.source_name] = sa.Table(
                    table.source_name, self._metadata, *self._columns(table)
                )
        self._metadata.create_all(self.engine)

    def _columns(self, table: AdminTable) -> Iterable[sa.Column[Any]]:
        for column in table.spec.columns:
            type_: sa.types.TypeEngine[Any]
            if column.is_time:
                type_ = sa.Text() if self.is_sqlite else sa.DateTime()
            elif column.type == "BIGINT":
                is_flag = column.name.startswith("is_") or column.name.endswith("_opt_in")
                type_ = sa.SmallInteger() if is_flag else sa.BigInteger()
            elif column.type == "DOUBLE":
                type_ = sa.Numeric(12, 2, asdecimal=False)
            else:
                type_ = sa.Text()
            yield sa.Column(column.name, type_)

    def _fit(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row with its time text in the type the database wants."""
        if self.is_sqlite:
            return dict(row)
        return {
            name: datetime.fromisoformat(value)
            if isinstance(value, str) and name.endswith(("_at", "slot_start", "slot_end"))
            else value
            for name, value in row.items()
        }

    def insert(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Insert rows; columns left out are NULL."""
        complete = [
            dict.fromkeys(self.tables[table].columns.keys()) | self._fit(row) for row in rows
        ]
        with self.engine.begin() as connection:
            connection.execute(self.tables[table].insert(), complete)

    def update(self, table: str, where: Mapping[str, Any], **values: Any) -> None:
        """Change the rows that match."""
        statement = self.tables[table].update().values(self._fit(values))
        for name, value in where.items():
            statement = statement.where(self.tables[table].c[name] == value)
        with self.engine.begin() as connection:
            connection.execute(statement)

    def delete(self, table: str, **where: Any) -> None:
        """Delete the rows that match."""
        statement = self.tables[table].delete()
        for name, value in where.items():
            statement = statement.where(self.tables[table].c[name] == value)
        with self.engine.begin() as connection:
            connection.execute(statement)

    def run(self, statement: str) -> None:
        """Run any statement."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))


def user(user_id: int, updated_at: str = "2026-10-30 10:00:00", **fields: Any) -> dict[str, Any]:
    """Return a row of `users`."""
    return {
        "user_id": user_id,
        "name": f"User {user_id}",
        "created_at": "2026-10-01 09:00:00",
        "updated_at": updated_at,
        "is_test": 0,
        "email_opt_in": 1,
        **fields,
    }


def order(order_id: str, updated_at: str = "2026-10-30 10:00:00", **fields: Any) -> dict[str, Any]:
    """Return a row of `orders`."""
    return {
        "order_id": order_id,
        "user_id": 1,
        "quoted_price": 7950,
        "status": "placed",
        "created_at": "2026-10-01 09:00:00",
        "updated_at": updated_at,
        **fields,
    }
