"""A day's orders, every day: tried again where that helps, from where the last try left off."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG
from millrace_operator import MillraceOperator

with DAG(
    dag_id="orders",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two runs of one pipeline never work side by side: the second would end with exit code 9 and be tried again later.
    max_active_runs=1,
    default_args={
        "retries": 5,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=2),
    },
) as dag:
    load = MillraceOperator(
        task_id="load",
        file="/etc/millrace/orders.json",
        parameters={"day": "{{ ds }}"},
        credentials="/etc/millrace/credentials.json",
        # A try that had succeeded when its worker died, unheard, is not loaded again.
        run_key="{{ run_id }}/{{ task.task_id }}",
    )
