"""Operations that are checked for an action of another name, as AWS documents each.

Read by `generate` where an operation has no action of its own name. `OWN` is what an operation's own
documentation says, which botocore ships: a test reads it again. `REFERENCE` is from the service
authorization reference, at the address beside it.
"""

# ruff: noqa: E501  # names of AWS are as long as they are

from __future__ import annotations

from collections.abc import Mapping

OWN: Mapping[str, Mapping[str, str]] = {
    "accessanalyzer": {
        "GetFindingV2": "access-analyzer:GetFinding",
        "ListFindingsV2": "access-analyzer:ListFindings",
    },
    "batch": {
        "CancelJobs": "batch:CancelJob",
        "TerminateJobs": "batch:TerminateJob",
        "TerminateServiceJobs": "batch:TerminateServiceJob",
    },
    "bcm-pricing-calculator": {
        "BatchCreateBillScenarioCommitmentModification": "bcm-pricing-calculator:CreateBillScenarioCommitmentModification",
        "BatchCreateBillScenarioUsageModification": "bcm-pricing-calculator:CreateBillScenarioUsageModification",
        "BatchCreateWorkloadEstimateUsage": "bcm-pricing-calculator:CreateWorkloadEstimateUsage",
        "BatchDeleteBillScenarioCommitmentModification": "bcm-pricing-calculator:DeleteBillScenarioCommitmentModification",
        "BatchDeleteBillScenarioUsageModification": "bcm-pricing-calculator:DeleteBillScenarioUsageModification",
        "BatchDeleteWorkloadEstimateUsage": "bcm-pricing-calculator:DeleteWorkloadEstimateUsage",
        "BatchUpdateBillScenarioCommitmentModification": "bcm-pricing-calculator:UpdateBillScenarioCommitmentModification",
        "BatchUpdateBillScenarioUsageModification": "bcm-pricing-calculator:UpdateBillScenarioUsageModification",
        "BatchUpdateWorkloadEstimateUsage": "bcm-pricing-calculator:UpdateWorkloadEstimateUsage",
    },
    "bedrock-agent-runtime": {
        "RetrieveAndGenerateStream": "bedrock:RetrieveAndGenerate",
    },
    "bedrock-runtime": {
        "Converse": "bedrock:InvokeModel",
        "ConverseStream": "bedrock:InvokeModelWithResponseStream",
        "StartAsyncInvoke": "bedrock:InvokeModel",
    },
    "connectcases": {
        "BatchCreateRelatedItem": "cases:CreateRelatedItem",
        "BatchUpdateCase": "cases:UpdateCase",
    },
    "dms": {
        "DescribeDataProviders": "dms:ListDataProviders",
        "DescribeExtensionPackAssociations": "dms:ListExtensionPacks",
        "DescribeInstanceProfiles": "dms:ListInstanceProfiles",
        "DescribeMetadataModelAssessments": "dms:ListMetadataModelAssessments",
        "DescribeMetadataModelConversions": "dms:ListMetadataModelConversions",
        "DescribeMetadataModelExportsAsScript": "dms:ListMetadataModelExports",
        "DescribeMetadataModelExportsToTarget": "dms:ListMetadataModelExports",
        "DescribeMigrationProjects": "dms:ListMigrationProjects",
        "ModifyConversionConfiguration": "dms:UpdateConversionConfiguration",
        "ModifyDataProvider": "dms:UpdateDataProvider",
        "ModifyInstanceProfile": "dms:UpdateInstanceProfile",
        "ModifyMigrationProject": "dms:UpdateMigrationProject",
        "StartExtensionPackAssociation": "dms:AssociateExtensionPack",
        "StartMetadataModelExportAsScript": "dms:StartMetadataModelExportAsScripts",
    },
    "ecr": {
        "ListImageReferrers": "ecr:BatchGetImage",
    },
    "glue": {
        "GetUnfilteredPartitionMetadata": "glue:GetPartition",
        "GetUnfilteredPartitionsMetadata": "glue:GetPartitions",
        "GetUnfilteredTableMetadata": "glue:GetTable",
    },
    "iam-toolbox": {
        "GetRequestAuthorizationDetails": "iam:GetRequestAuthorizationDetails",
        "GetRequestAuthorizationPolicy": "iam:GetRequestAuthorizationPolicy",
    },
    "neptune-graph": {
        "GetQuery": "neptune-graph:GetQueryStatus",
    },
    "neptunedata": {
        "CancelGremlinQuery": "neptune-db:CancelQuery",
        "CancelOpenCypherQuery": "neptune-db:CancelQuery",
        "DeletePropertygraphStatistics": "neptune-db:DeleteStatistics",
        "DeleteSparqlStatistics": "neptune-db:DeleteStatistics",
        "ExecuteFastReset": "neptune-db:ResetDatabase",
        "ExecuteGremlinProfileQuery": "neptune-db:ReadDataViaQuery",
        "ExecuteOpenCypherExplainQuery": "neptune-db:ReadDataViaQuery",
        "GetGremlinQueryStatus": "neptune-db:GetQueryStatus",
        "GetMLDataProcessingJob": "neptune-db:GetMLDataProcessingJobStatus",
        "GetMLEndpoint": "neptune-db:GetMLEndpointStatus",
        "GetMLModelTrainingJob": "neptune-db:GetMLModelTrainingJobStatus",
        "GetMLModelTransformJob": "neptune-db:GetMLModelTransformJobStatus",
        "GetOpenCypherQueryStatus": "neptune-db:GetQueryStatus",
        "GetPropertygraphStatistics": "neptune-db:GetStatisticsStatus",
        "GetPropertygraphStream": "neptune-db:GetStreamRecords",
        "GetPropertygraphSummary": "neptune-db:GetGraphSummary",
        "GetRDFGraphSummary": "neptune-db:GetGraphSummary",
        "GetSparqlStream": "neptune-db:GetStreamRecords",
        "ListGremlinQueries": "neptune-db:GetQueryStatus",
        "ListOpenCypherQueries": "neptune-db:GetQueryStatus",
        "ManagePropertygraphStatistics": "neptune-db:ManageStatistics",
        "ManageSparqlStatistics": "neptune-db:ManageStatistics",
    },
    "s3control": {
        "DeleteAccessPointScope": "s3express:DeleteAccessPointScope",
        "DeleteBucketLifecycleConfiguration": "s3-outposts:PutLifecycleConfiguration",
        "DeleteBucketReplication": "s3-outposts:PutReplicationConfiguration",
        "GetAccessPointScope": "s3express:GetAccessPointScope",
        "GetBucket": "s3-outposts:GetBucket",
        "GetBucketLifecycleConfiguration": "s3-outposts:GetLifecycleConfiguration",
        "GetBucketReplication": "s3-outposts:GetReplicationConfiguration",
        "ListAccessPointsForDirectoryBuckets": "s3express:ListAccessPointsForDirectoryBuckets",
        "PutAccessPointScope": "s3express:PutAccessPointScope",
        "PutBucketReplication": "s3-outposts:PutReplicationConfiguration",
        "PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    },
    "securityhub": {
        "BatchUpdateFindingsV2": "securityhub:BatchUpdateFindings",
        "GetFindingStatisticsV2": "securityhub:GetAdhocInsightResults",
        "GetFindingsV2": "securityhub:GetFindings",
    },
    "taxsettings": {
        "BatchGetTaxExemptions": "tax:GetExemptions",
        "GetTaxExemptionTypes": "tax:GetExemptions",
        "ListTaxExemptions": "tax:GetExemptions",
        "PutTaxExemption": "tax:UpdateExemptions",
    },
    "verifiedpermissions": {
        "BatchGetPolicy": "verifiedpermissions:GetPolicy",
        "BatchIsAuthorized": "verifiedpermissions:IsAuthorized",
        "BatchIsAuthorizedWithToken": "verifiedpermissions:IsAuthorizedWithToken",
    },
    "vpc-lattice": {
        "BatchUpdateRule": "vpc-lattice:UpdateRule",
    },
}

REFERENCE: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "budgets",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_budgets.html",
        {
            "CreateBudget": "budgets:ModifyBudget",
            "CreateNotification": "budgets:ModifyBudget",
            "CreateSubscriber": "budgets:ModifyBudget",
            "DeleteBudget": "budgets:ModifyBudget",
            "DeleteNotification": "budgets:ModifyBudget",
            "DeleteSubscriber": "budgets:ModifyBudget",
            "DescribeBudget": "budgets:ViewBudget",
            "DescribeBudgetNotificationsForAccount": "budgets:ViewBudget",
            "DescribeBudgetPerformanceHistory": "budgets:ViewBudget",
            "DescribeBudgets": "budgets:ViewBudget",
            "DescribeNotificationsForBudget": "budgets:ViewBudget",
            "DescribeSubscribersForNotification": "budgets:ViewBudget",
            "UpdateBudget": "budgets:ModifyBudget",
            "UpdateNotification": "budgets:ModifyBudget",
            "UpdateSubscriber": "budgets:ModifyBudget",
        },
    ),
    (
        "keyspaces",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_keyspaces.html",
        {
            "CreateKeyspace": "cassandra:Create",
            "CreateTable": "cassandra:Create",
            "CreateType": "cassandra:Create",
            "DeleteKeyspace": "cassandra:Drop",
            "DeleteTable": "cassandra:Drop",
            "DeleteType": "cassandra:Drop",
            "GetKeyspace": "cassandra:Select",
            "GetTable": "cassandra:Select",
            "GetTableAutoScalingSettings": "cassandra:Select",
            "GetType": "cassandra:Select",
            "ListKeyspaces": "cassandra:Select",
            "ListTables": "cassandra:Select",
            "ListTypes": "cassandra:Select",
            "RestoreTable": "cassandra:Restore",
            "UpdateKeyspace": "cassandra:Alter",
            "UpdateTable": "cassandra:Alter",
        },
    ),
    (
        "cloudwatch",
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/permissions-reference-cw.html",
        {"DescribeAlarmContributors": "cloudwatch:DescribeAlarmContributors"},
    ),
    (
        "s3control",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html",
        {
            "DeletePublicAccessBlock": "s3:PutAccountPublicAccessBlock",
            "GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
        },
    ),
    (
        "s3control",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3onoutposts.html",
        {
            "DeleteBucketTagging": "s3-outposts:PutBucketTagging",
            "ListRegionalBuckets": "s3-outposts:ListRegionalBuckets",
            "PutBucketLifecycleConfiguration": "s3-outposts:PutLifecycleConfiguration",
        },
    ),
)


def action(client: str, operation: str) -> str:
    """Return the documented action of an operation, "" where nothing is documented."""
    listed = [actions[operation] for name, _, actions in REFERENCE if name == client and operation in actions]
    return OWN.get(client, {}).get(operation) or next(iter(listed), "")
