"""Takes orders: a row in DynamoDB, an invoice in S3, an event through SQS.

Runs as an ECS task with a task role of its own. Configured by ORDERS_BUCKET, ORDERS_QUEUE, ORDERS_TABLE.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

from examples.demo.tally import Tally

CUSTOMERS = ("ada", "grace", "edsger")


class Orders:
    """Places orders and works off their events."""

    def __init__(self, bucket: str, queue: str, table: str, tally: Tally) -> None:
        self.bucket = bucket
        self.table = table
        self.tally = tally
        self.s3: Any = boto3.client("s3")
        self.sqs: Any = boto3.client("sqs")
        self.dynamodb: Any = boto3.client("dynamodb")
        with tally.call("sqs", "GetQueueUrl"):
            self.queue_url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def place(self, customer: str, order_id: str, cents: int) -> None:
        item = {
            "customer": {"S": customer},
            "order_id": {"S": order_id},
            "cents": {"N": str(cents)},
            "state": {"S": "placed"},
        }
        with self.tally.call("dynamodb", "PutItem"):
            self.dynamodb.put_item(TableName=self.table, Item=item)
        if not self.has_invoice(order_id):
            invoice = json.dumps({"order": order_id, "customer": customer, "cents": cents}).encode()
            with self.tally.call("s3", "PutObject"):
                self.s3.put_object(Bucket=self.bucket, Key=f"invoices/{order_id}.json", Body=invoice)
        event = json.dumps({"customer": customer, "order_id": order_id})
        with self.tally.call("sqs", "SendMessage"):
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=event)

    def has_invoice(self, order_id: str) -> bool:
        try:
            with self.tally.call("s3", "HeadObject"):
                self.s3.head_object(Bucket=self.bucket, Key=f"invoices/{order_id}.json")
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            raise
        return True

    def work_off(self) -> int:
        """Bill every order whose event waits; returns how many."""
        with self.tally.call("sqs", "ReceiveMessage"):
            answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        for message in messages:
            self.bill(**json.loads(message["Body"]))
            with self.tally.call("sqs", "DeleteMessage"):
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)

    def bill(self, customer: str, order_id: str) -> None:
        key = {"customer": {"S": customer}, "order_id": {"S": order_id}}
        with self.tally.call("dynamodb", "GetItem"):
            order = self.dynamodb.get_item(TableName=self.table, Key=key)["Item"]
        with self.tally.call("s3", "GetObject"):
            invoice = json.load(self.s3.get_object(Bucket=self.bucket, Key=f"invoices/{order_id}.json")["Body"])
        state = "billed" if invoice["cents"] == int(order["cents"]["N"]) else "disputed"
        with self.tally.call("dynamodb", "UpdateItem"):
            self.dynamodb.update_item(
                TableName=self.table,
                Key=key,
                UpdateExpression="SET #s = :s",
                ExpressionAttributeNames={"#s": "state"},
                ExpressionAttributeValues={":s": {"S": state}},
            )

    def billed(self, customer: str) -> int:
        with self.tally.call("dynamodb", "Query"):
            answer = self.dynamodb.query(
                TableName=self.table,
                KeyConditionExpression="customer = :c",
                ExpressionAttributeValues={":c": {"S": customer}},
            )
        return sum(item["state"]["S"] == "billed" for item in answer["Items"])

    def invoices(self) -> int:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix="invoices/", PaginationConfig={"PageSize": 2}
        )
        return sum(page["KeyCount"] for page in self.tally.pages("s3", "ListObjectsV2", pages))


def main() -> None:
    parser = argparse.ArgumentParser(description="Place and bill orders.")
    parser.add_argument("--rounds", type=int, default=3, help="how many orders to place")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        env = os.environ
        orders = Orders(env["ORDERS_BUCKET"], env["ORDERS_QUEUE"], env["ORDERS_TABLE"], tally)
        for number in range(rounds):
            orders.place(CUSTOMERS[number % len(CUSTOMERS)], f"order-{number:05}", 995 + 10 * number)
            orders.work_off()
        billed = sum(orders.billed(customer) for customer in CUSTOMERS)
        print(f"orders: {rounds} placed, {billed} billed, {orders.invoices()} invoices")


if __name__ == "__main__":
    main()
