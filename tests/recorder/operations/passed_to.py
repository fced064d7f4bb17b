"""The services that operations pass a role to, as AWS tells them: the values of `iam:PassedToService`.

`PASSED_TO` is from the tables of API operations in the service authorization reference, the page of each
client's service (`https://docs.aws.amazon.com/service-authorization/latest/reference/list_<service>.html`).
Only operations whose own entry there was read are named; `*` stands for the client's operations
that are not named, where the entries of all were read. Where the reference leaves the value empty
(CodeBuild's fleets, Cognito, Storage Gateway), and where the operation takes roles for several
services of which it names one (RequestSpotFleet), nothing is claimed.

Where the reference names the service of `CreateX` and not that of `UpdateX`, which takes roles in the same
parameters, it is the same one, and the other way round: each pair of which it names both agrees.

`POLICIES` are policies that AWS publishes, at
`https://docs.aws.amazon.com/aws-managed-policy/latest/reference/<name>.html`, that allow an operation and the
passing of roles to that service: what such a policy is written for would fail without. A test reads each again in
moto's copy. Not taken: policies that name several services of which none is the operation's own, a
second kind of role in the same operation, and policies that say otherwise than the reference (App Runner, AppStream's
fleets, Image Builder).

Role trust policies are no source: a canary's role trusts Lambda and is passed to Synthetics.
"""

# ruff: noqa: E501  # names of AWS are as long as they are

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

PASSED_TO: Mapping[str, Mapping[str, str]] = {
    "apigateway": {"apigateway.amazonaws.com": "*"},
    "appconfig": {
        "appconfig.amazonaws.com": "CreateConfigurationProfile CreateEnvironment UpdateConfigurationProfile UpdateEnvironment",
    },
    "appflow": {"appflow.amazonaws.com,redshift.amazonaws.com": "UpdateConnectorProfile"},
    "application-autoscaling": {"application-autoscaling.amazonaws.com": "*"},
    "apprunner": {"bullet.amazonaws.com": "CreateService"},
    "appstream": {"appstream.amazonaws.com": "CreateFleet CreateImageBuilder"},
    "appsync": {
        "appsync.amazonaws.com": "CreateApi CreateDataSource CreateGraphqlApi UpdateDataSource UpdateGraphqlApi",
    },
    "athena": {"athena.amazonaws.com": "*"},
    "autoscaling": {
        "autoscaling.amazonaws.com": "PutLifecycleHook",
        "autoscaling.amazonaws.com,ec2.amazonaws.com": "CreateAutoScalingGroup",
        "ec2.amazonaws.com": "CreateLaunchConfiguration",
    },
    "backup": {
        "backup.amazonaws.com": "CreateBackupSelection StartBackupJob StartCopyJob StartRestoreJob",
        "malware-protection.guardduty.amazonaws.com": "CreateBackupPlan",
    },
    "batch": {
        "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com": "UpdateComputeEnvironment",
        "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com,spotfleet.amazonaws.com": "CreateComputeEnvironment",
        "ecs-tasks.amazonaws.com": "RegisterJobDefinition",
    },
    "bedrock": {"bedrock.amazonaws.com": "*"},
    "bedrock-agent": {"bedrock.amazonaws.com": "*"},
    "braket": {"braket.amazonaws.com,sagemaker.amazonaws.com": "*"},
    "cloudformation": {
        "cloudformation.amazonaws.com": "CreateChangeSet CreateStack CreateStackSet RollbackStack UpdateStack UpdateStackSet",
        "resources.cloudformation.amazonaws.com": "RegisterType",
    },
    "cloudfront": {"cloudfront.amazonaws.com": "*"},
    "cloudtrail": {"cloudtrail.amazonaws.com,cloudtrail.preprod.amazonaws.com": "CreateTrail UpdateTrail"},
    "cloudwatch": {"streams.metrics.cloudwatch.amazonaws.com": "PutMetricStream"},
    "codebuild": {"codebuild.amazonaws.com": "CreateProject StartBuild StartBuildBatch UpdateProject"},
    "codedeploy": {"codedeploy.amazonaws.com": "*"},
    "codepipeline": {"cloudformation.amazonaws.com,codebuild.amazonaws.com,codepipeline.amazonaws.com": "*"},
    "comprehend": {"comprehend.amazonaws.com": "CreateDocumentClassifier"},
    "comprehendmedical": {"comprehendmedical.amazonaws.com": "*"},
    "config": {"config.amazonaws.com": "*"},
    "databrew": {"databrew.amazonaws.com": "CreateProfileJob CreateProject UpdateProfileJob UpdateProject"},
    "datasync": {"datasync.amazonaws.com": "CreateLocationObjectStorage CreateLocationS3 StartTaskExecution"},
    "datazone": {"datazone.amazonaws.com": "CreateDataSource CreateDomain CreateProject UpdateDataSource UpdateDomain"},
    "devicefarm": {"devicefarm.amazonaws.com": "CreateProject UpdateProject"},
    "dlm": {"dlm.amazonaws.com": "CreateLifecyclePolicy"},
    "ec2": {"ec2.amazonaws.com": "ReplaceIamInstanceProfileAssociation RequestSpotInstances RunInstances"},
    "ecs": {
        "ecs-tasks.amazonaws.com": "CreateTaskSet RegisterTaskDefinition",
        "ecs-tasks.amazonaws.com,ecs.amazonaws.com": "CreateExpressGatewayService CreateService RunTask StartTask",
        "ecs.amazonaws.com": "CreateCapacityProvider",
    },
    "efs": {"elasticfilesystem.amazonaws.com": "*"},
    "eks": {
        "ec2.amazonaws.com": "CreateAccessEntry",
        "ec2.amazonaws.com,eks.amazonaws.com": "CreateCluster",
        "eks.amazonaws.com": "*",
        "pods.eks.amazonaws.com": "CreatePodIdentityAssociation",
    },
    "emr": {
        "application-autoscaling.amazonaws.com,ec2.amazonaws.com,elasticmapreduce.amazonaws.com": "RunJobFlow",
        "elasticmapreduce.amazonaws.com": "StartNotebookExecution",
    },
    "emr-serverless": {"emr-serverless.amazonaws.com": "StartJobRun"},
    "eventbridgev2": {"events.amazonaws.com": "*"},
    "events": {"events.amazonaws.com": "*"},
    "firehose": {"firehose.amazonaws.com": "*"},
    "fis": {"fis.amazonaws.com": "CreateExperimentTemplate"},
    "gamelift": {"gamelift.amazonaws.com": "CreateFleet"},
    "glue": {"glue.amazonaws.com": "*"},
    "grafana": {"grafana.amazonaws.com": "CreateWorkspace"},
    "guardduty": {"malware-protection-plan.guardduty.amazonaws.com": "CreateMalwareProtectionPlan"},
    "imagebuilder": {"imagebuilder.amazonaws.com": "CreateLifecyclePolicy"},
    "iot": {
        "iot.amazonaws.com": "CreateJob CreateProvisioningTemplate CreateRoleAlias CreateTopicRule ReplaceTopicRule",
    },
    "iotsitewise": {"iotsitewise.amazonaws.com": "CreatePortal UpdatePortal"},
    "kafkaconnect": {"kafkaconnect.amazonaws.com": "*"},
    "kendra": {"kendra.amazonaws.com": "BatchPutDocument CreateDataSource UpdateDataSource"},
    "kinesisanalyticsv2": {"kinesisanalytics.amazonaws.com": "CreateApplication"},
    "lambda": {"lambda.amazonaws.com": "*"},
    "lexv2-models": {"lexv2.amazonaws.com": "CreateBot"},
    "logs": {"logs.amazonaws.com": "PutDestination PutSubscriptionFilter"},
    "mediaconnect": {"mediaconnect.amazonaws.com": "AddFlowSources AddFlowVpcInterfaces"},
    "mediaconvert": {"mediaconvert.amazonaws.com": "*"},
    "medialive": {"medialive.amazonaws.com": "CreateChannel"},
    "mediapackage-vod": {"mediapackage-vod.amazonaws.com": "*"},
    "mwaa": {"airflow.amazonaws.com": "*"},
    "opensearch": {"directquery.opensearchservice.amazonaws.com": "UpdateDataSource"},
    "osis": {"osis-pipelines.amazonaws.com": "*"},
    "pipes": {"pipes.amazonaws.com": "*"},
    "proton": {"proton.amazonaws.com": "CreateEnvironment UpdateAccountSettings UpdateEnvironment"},
    "qbusiness": {"qbusiness.amazonaws.com": "CreateDataSource UpdateDataSource"},
    "quicksight": {"quicksight.amazonaws.com": "CreateDataSource UpdateActionConnector UpdateDataSource"},
    "rds": {"rds-preview.amazonaws.com,rds.amazonaws.com": "*"},
    "redshift": {"redshift.amazonaws.com": "CreateCluster ModifyClusterIamRoles"},
    "rekognition": {
        "rekognition.amazonaws.com": "CreateStreamProcessor StartCelebrityRecognition StartContentModeration StartFaceDetection",
    },
    "s3": {"s3.amazonaws.com": "PutBucketReplication"},
    "sagemaker": {
        "sagemaker.amazonaws.com": "CreateEndpointConfig CreateModel CreateNotebookInstance CreatePipeline CreateProcessingJob",
    },
    "scheduler": {"scheduler.amazonaws.com": "*"},
    "secretsmanager": {"secretsmanager.amazonaws.com": "RotateSecret"},
    "ses": {"ses.amazonaws.com": "CreateReceiptRule"},
    "snowball": {"importexport.amazonaws.com": "CreateJob"},
    "ssm": {"ssm.amazonaws.com": "CreateActivation CreateAssociation RegisterTaskWithMaintenanceWindow SendCommand"},
    "stepfunctions": {"states.amazonaws.com": "*"},
    "synthetics": {"synthetics.amazonaws.com": "CreateCanary UpdateCanary"},
    "textract": {"textract.amazonaws.com": "StartDocumentAnalysis"},
    "transcribe": {"transcribe.amazonaws.com": "StartMedicalScribeJob StartTranscriptionJob"},
    "transfer": {"transfer.amazonaws.com": "CreateAgreement CreateConnector CreateServer CreateUser"},
    "translate": {"translate.amazonaws.com": "*"},
}
"""By client: the services, with commas, and the operations that pass a role to them."""


POLICIES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "aiops": {
        "AIOpsConsoleAdminPolicy": ("aiops.amazonaws.com", "*"),
    },
    "apigatewayv2": {
        "AmazonSageMakerPartnerServiceCatalogProductsCloudFormationServiceRolePolicy": (
            "apigateway.amazonaws.com",
            "*",
        ),
    },
    "bedrock-agentcore": {
        "BedrockAgentCoreFullAccess": ("bedrock-agentcore.amazonaws.com", "*"),
    },
    "bedrock-agentcore-control": {
        "BedrockAgentCoreFullAccess": (
            "bedrock-agentcore.amazonaws.com",
            "CreateAgentRuntime CreateBrowser CreateCodeInterpreter CreateGateway CreateHarness CreateMemory CreateOnlineEvaluationConfig CreatePaymentManager UpdateAgentRuntime UpdateGateway UpdateHarness UpdateMemory UpdateOnlineEvaluationConfig UpdatePaymentManager",
        ),
    },
    "budgets": {
        "AWSBudgetsActionsWithAWSResourceControlAccess": ("budgets.amazonaws.com", "*"),
    },
    "cleanrooms": {
        "AWSCleanRoomsFullAccess": ("cleanrooms.amazonaws.com", "*"),
    },
    "cleanroomsml": {
        "AWSCleanRoomsMLFullAccess": ("cleanrooms-ml.amazonaws.com", "*"),
    },
    "cloudtrail": {
        "AWSCloudTrail_FullAccess": ("cloudtrail.amazonaws.com", "StartImport"),
    },
    "databrew": {
        "AwsGlueDataBrewFullAccessPolicy": ("databrew.amazonaws.com", "CreateRecipeJob UpdateRecipeJob"),
    },
    "datasync": {
        "AWSDataSyncFullAccess": ("datasync.amazonaws.com", "*"),
    },
    "datazone": {
        "AmazonDataZoneFullAccess": ("datazone.amazonaws.com", "CreateSubscriptionTarget UpdateSubscriptionTarget"),
    },
    "dax": {
        "AmazonDynamoDBFullAccess": ("dax.amazonaws.com", "*"),
    },
    "dsql": {
        "AmazonAuroraDSQLFullAccess": ("dsql.amazonaws.com", "*"),
    },
    "ecs": {
        "AmazonECS_FullAccess": ("ecs-tasks.amazonaws.com", "RegisterDaemonTaskDefinition"),
    },
    "entityresolution": {
        "AWSEntityResolutionConsoleFullAccess": ("entityresolution.amazonaws.com", "*"),
    },
    "forecast": {
        "AmazonForecastFullAccess": ("forecast.amazonaws.com", "*"),
    },
    "frauddetector": {
        "AmazonFraudDetectorFullAccessPolicy": ("frauddetector.amazonaws.com", "*"),
    },
    "guardduty": {
        "AWSBackupServiceRolePolicyForScans": ("malware-protection.guardduty.amazonaws.com", "StartMalwareScan"),
    },
    "healthlake": {
        "AmazonHealthLakeFullAccess": ("healthlake.amazonaws.com", "*"),
    },
    "inspector": {
        "AmazonInspectorFullAccess": ("inspector.amazonaws.com", "*"),
    },
    "iot": {
        "AWSIoTDeviceTesterForFreeRTOSFullAccess": (
            "iot.amazonaws.com",
            "CreateOTAUpdate CreateStream RegisterCACertificate UpdateCACertificate",
        ),
        "AWSIoTDeviceDefenderEnableIoTLoggingMitigationAction": ("iot.amazonaws.com", "SetV2LoggingOptions"),
    },
    "iotsitewise": {
        "AWSIoTSiteWiseConsoleFullAccess": (
            "iotsitewise.amazonaws.com",
            "CreateBulkImportJob CreateDataset PutStorageConfiguration UpdateDataset",
        ),
    },
    "kafka": {
        "AmazonMSKFullAccess": ("kafka.amazonaws.com", "CreateReplicator"),
    },
    "kendra": {
        "AmazonKendraFullAccess": ("kendra.amazonaws.com", "*"),
    },
    "logs": {
        "CloudWatchOpenSearchDashboardsFullAccess": ("directquery.opensearchservice.amazonaws.com", "PutIntegration"),
    },
    "lookoutequipment": {
        "AmazonLookoutEquipmentFullAccess": ("lookoutequipment.amazonaws.com", "*"),
    },
    "mediaconnect": {
        "AWSElementalMediaConnectCreateFlow": (
            "mediaconnect.amazonaws.com",
            "AddFlowOutputs CreateFlow GrantFlowEntitlements",
        ),
    },
    "medical-imaging": {
        "AWSHealthImagingFullAccess": ("medical-imaging.amazonaws.com", "*"),
    },
    "neptune": {
        "NeptuneFullAccess": ("rds.amazonaws.com", "*"),
    },
    "neptune-graph": {
        "NeptuneConsoleFullAccess": ("neptune-graph.amazonaws.com", "CreateGraphUsingImportTask"),
    },
    "omics": {
        "AmazonOmicsFullAccess": ("omics.amazonaws.com", "*"),
    },
    "personalize": {
        "AmazonPersonalizeFullAccess": ("personalize.amazonaws.com", "*"),
    },
    "proton": {
        "AWSProtonFullAccess": ("proton.amazonaws.com", "*"),
    },
    "s3files": {
        "AmazonS3FilesFullAccess": ("elasticfilesystem.amazonaws.com", "*"),
    },
    "s3tables": {
        "AmazonS3TablesFullAccess": (
            "replication.s3tables.amazonaws.com",
            "PutTableBucketReplication PutTableReplication",
        ),
    },
    "sagemaker": {
        "AmazonSageMakerFullAccess": (
            "sagemaker.amazonaws.com",
            "CreateAlgorithm CreateAutoMLJob CreateCompilationJob CreateDataQualityJobDefinition CreateDeviceFleet CreateEdgePackagingJob CreateFeatureGroup CreateFlowDefinition CreateHyperParameterTuningJob CreateImage CreateInferenceExperiment CreateInferenceRecommendationsJob CreateLabelingJob CreateMlflowTrackingServer CreateModelBiasJobDefinition CreateModelExplainabilityJobDefinition CreateModelPackage CreateModelQualityJobDefinition CreateMonitoringSchedule CreateOptimizationJob CreateTrainingJob RenderUiTemplate StartPipelineExecution UpdateDeviceFleet UpdateImage UpdateMonitoringSchedule",
        ),
    },
    "sagemaker-geospatial": {
        "AmazonSageMakerGeospatialFullAccess": ("sagemaker-geospatial.amazonaws.com", "*"),
    },
    "securityagent": {
        "AWSTransformSecurityAgentExecutorAccess": ("securityagent.amazonaws.com", "CreateCodeReview"),
    },
    "transfer": {
        "AWSTransferFullAccess": ("transfer.amazonaws.com", "*"),
    },
}
"""By client and policy: the service, and the operations that pass a role to it; `*`: all that `PASSED_TO` does not name."""

_TWINS = re.compile(r"(Create|Update|Modify|Replace)(\w+)")


def passed_to(client: str, operations: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the services by operation, empty where none is documented. `operations`: those that pass a role, and where."""
    found = {name: services for services, listed in PASSED_TO.get(client, {}).items() for name in listed.split()}
    granted = {name: service for service, listed in POLICIES.get(client, {}).values() for name in listed.split()}
    twins = {} if "*" in found else {name: to for name in operations if (to := _twin(name, operations, found))}
    return {**granted, **twins, **found}


def _twin(name: str, operations: Mapping[str, Sequence[str]], found: Mapping[str, str]) -> str:
    """Return the services of the operation that makes what this one changes, or changes what it makes."""
    for twin in twins(name, operations):
        if name not in found and twin in found:
            return found[twin]
    return ""


def twins(name: str, operations: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the operations on the same resource that take roles in the same parameters."""
    mine = _TWINS.fullmatch(name)
    for other in operations:
        theirs = _TWINS.fullmatch(other)
        alike = mine and theirs and mine[2] == theirs[2] and "Create" in {mine[1], theirs[1]}
        if alike and other != name and _names(operations[name]) == _names(operations[other]):
            yield other


def _names(paths: Sequence[str]) -> frozenset[str]:
    """Return the names of parameters, the structures around them left out."""
    return frozenset(re.sub(r"[\[\]{}]", "", path.rsplit(".", 1)[-1]).lower() for path in paths)
