"""The services that operations pass a role to, as AWS tells them: the values of `iam:PassedToService`.

`PASSED_TO` is from the tables of API operations in the service authorization reference, the page of each
client's service (`https://docs.aws.amazon.com/service-authorization/latest/reference/list_<service>.html`).
Only operations whose own entry there was read are named; `*` stands for the client's operations
that are not named, where the entries of all were read. Where the reference leaves the value empty
(CodeBuild's fleets, Cognito, Storage Gateway, an EMR Studio), and where the operation takes roles for several
services of which it names one (RequestSpotFleet), nothing is claimed. UpdateAutoScalingGroup has the services of
CreateAutoScalingGroup: the guide says that both make a dry run of RunInstances
(`https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html`). The definer of a Glue
view is passed to two services (`https://docs.aws.amazon.com/lake-formation/latest/dg/views-prereqs.html`). That the reference
names no role at all proves nothing: it names none of an S3 batch job, whose guide says that one is passed.

Where the reference names the service of `CreateX` and not that of `UpdateX`, which takes roles in the same
parameters, it is the same one, and the other way round: each pair of which it names both agrees.

`POLICIES` are policies that AWS publishes, at
`https://docs.aws.amazon.com/aws-managed-policy/latest/reference/<name>.html`, that allow an operation and the
passing of roles to that service: what such a policy is written for would fail without. A test reads each again in
moto's copy. Not taken: policies that name several services of which none is the operation's own, a
second kind of role in the same operation, and policies that say otherwise than the reference (App Runner, AppStream's
fleets, Image Builder).

Role trust policies are no source: a canary's role trusts Lambda and is passed to Synthetics, App Runner's roles trust
`tasks.apprunner` and `build.apprunner` and are passed to `bullet`.
"""

# ruff: noqa: E501  # names of AWS are as long as they are

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

PASSED_TO: Mapping[str, Mapping[str, str]] = {
    "accessanalyzer": {"access-analyzer.amazonaws.com": "*"},
    "amp": {"aps.amazonaws.com": "CreateScraper"},
    "amplify": {"amplify.amazonaws.com": "CreateApp CreateBranch UpdateApp UpdateBranch UpdateDomainAssociation"},
    "apigateway": {"apigateway.amazonaws.com": "*"},
    "apigatewayv2": {"apigateway.amazonaws.com": "CreateApi CreateAuthorizer UpdateIntegration"},
    "appconfig": {
        "appconfig.amazonaws.com": "CreateConfigurationProfile CreateEnvironment CreateExtension UpdateConfigurationProfile UpdateEnvironment",
    },
    "appflow": {
        "appflow.amazonaws.com": "UpdateFlow",
        "appflow.amazonaws.com,redshift.amazonaws.com": "UpdateConnectorProfile",
    },
    "application-autoscaling": {"application-autoscaling.amazonaws.com": "*"},
    "apprunner": {"bullet.amazonaws.com": "CreateService UpdateService"},
    "appstream": {"appstream.amazonaws.com": "CreateFleet CreateImageBuilder"},
    "appsync": {
        "appsync.amazonaws.com": "CreateApi CreateDataSource CreateGraphqlApi UpdateDataSource UpdateGraphqlApi",
    },
    "athena": {"athena.amazonaws.com": "*"},
    "autoscaling": {
        "autoscaling.amazonaws.com": "PutLifecycleHook",
        "autoscaling.amazonaws.com,ec2.amazonaws.com": "CreateAutoScalingGroup UpdateAutoScalingGroup",
        "ec2.amazonaws.com": "CreateLaunchConfiguration",
    },
    "backup": {
        "backup.amazonaws.com": "CreateBackupSelection StartBackupJob StartCopyJob StartRestoreJob UpdateRecoveryPointIndexSettings",
        "backup.amazonaws.com,malware-protection.guardduty.amazonaws.com": "StartScanJob",
        "malware-protection.guardduty.amazonaws.com": "CreateBackupPlan",
        "restore-testing.backup.amazonaws.com": "CreateRestoreTestingSelection UpdateRestoreTestingSelection",
    },
    "batch": {
        "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com": "UpdateComputeEnvironment",
        "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com,spotfleet.amazonaws.com": "CreateComputeEnvironment",
        "ecs-tasks.amazonaws.com": "RegisterJobDefinition",
        "sagemaker.amazonaws.com": "SubmitServiceJob",
    },
    "bedrock": {"bedrock.amazonaws.com": "*"},
    "bedrock-agent": {"bedrock.amazonaws.com": "*"},
    "braket": {"braket.amazonaws.com,sagemaker.amazonaws.com": "*"},
    "chatbot": {
        "chatbot.amazonaws.com": "CreateChimeWebhookConfiguration CreateMicrosoftTeamsChannelConfiguration CreateSlackChannelConfiguration",
    },
    "cloudformation": {
        "cloudformation.amazonaws.com": "ContinueUpdateRollback CreateChangeSet CreateStack CreateStackSet RollbackStack UpdateStack UpdateStackSet",
        "resources.cloudformation.amazonaws.com": "ActivateType RegisterType",
    },
    "cloudfront": {"cloudfront.amazonaws.com": "*"},
    "cloudtrail": {
        "cloudtrail.amazonaws.com,cloudtrail.preprod.amazonaws.com": "CreateTrail EnableFederation UpdateTrail",
    },
    "cloudwatch": {"streams.metrics.cloudwatch.amazonaws.com": "PutMetricStream"},
    "cloudwatchomni": {"cloudwatch.amazonaws.com": "UpdateIntegration"},
    "codebuild": {
        "codebuild.amazonaws.com": "CreateProject StartBuild StartBuildBatch UpdateProject UpdateProjectVisibility",
    },
    "codedeploy": {"codedeploy.amazonaws.com": "*"},
    "codepipeline": {"cloudformation.amazonaws.com,codebuild.amazonaws.com,codepipeline.amazonaws.com": "*"},
    "comprehend": {"comprehend.amazonaws.com": "*"},
    "comprehendmedical": {"comprehendmedical.amazonaws.com": "*"},
    "config": {"config.amazonaws.com": "*"},
    "databrew": {"databrew.amazonaws.com": "CreateProfileJob CreateProject UpdateProfileJob UpdateProject"},
    "datapipeline": {"datapipeline.amazonaws.com,ec2.amazonaws.com,elasticmapreduce.amazonaws.com": "*"},
    "datasync": {"datasync.amazonaws.com": "CreateLocationObjectStorage CreateLocationS3 StartTaskExecution"},
    "datazone": {
        "datazone.amazonaws.com": "CreateDataSource CreateDomain CreateProject PutEnvironmentBlueprintConfiguration UpdateDataSource UpdateDomain",
    },
    "deadline": {"deadline.amazonaws.com": "CreateFleet CreateMonitor CreateQueue"},
    "devicefarm": {"devicefarm.amazonaws.com": "CreateProject ScheduleRun UpdateProject"},
    "dlm": {"dlm.amazonaws.com": "CreateLifecyclePolicy"},
    "dms": {"dms.amazonaws.com": "*"},
    "ec2": {
        "ec2.amazonaws.com": "AssociateIamInstanceProfile CreateLaunchTemplate CreateLaunchTemplateVersion ReplaceIamInstanceProfileAssociation RequestSpotInstances RunInstances",
        "vpc-flow-logs.amazonaws.com": "CreateFlowLogs",
    },
    "ecr": {
        "ecr.amazonaws.com": "CreatePullThroughCacheRule UpdatePullThroughCacheRule UpdateRepositoryCreationTemplate",
    },
    "ecs": {
        "ecs-tasks.amazonaws.com": "CreateDaemon CreateTaskSet RegisterDaemonTaskDefinition RegisterTaskDefinition UpdateDaemon",
        "ecs-tasks.amazonaws.com,ecs.amazonaws.com": "CreateExpressGatewayService CreateService RunTask StartTask UpdateExpressGatewayService UpdateService",
        "ecs.amazonaws.com": "CreateCapacityProvider UpdateCapacityProvider",
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
        "elasticmapreduce.amazonaws.com": "StartNotebookExecution StartSession",
    },
    "emr-containers": {"pods.eks.amazonaws.com": "StartJobRun"},
    "emr-serverless": {"emr-serverless.amazonaws.com": "StartJobRun StartSession"},
    "es": {"es.amazonaws.com": "*"},
    "eventbridgev2": {"events.amazonaws.com": "*"},
    "events": {"events.amazonaws.com": "*"},
    "firehose": {"firehose.amazonaws.com": "*"},
    "fis": {"fis.amazonaws.com": "CreateExperimentTemplate"},
    "fms": {"fms.amazonaws.com": "*"},
    "gamelift": {"gamelift.amazonaws.com": "CreateBuild CreateFleet"},
    "glue": {"glue.amazonaws.com": "*", "glue.amazonaws.com,lakeformation.amazonaws.com": "CreateTable UpdateTable"},
    "grafana": {"grafana.amazonaws.com": "CreateWorkspace"},
    "greengrass": {"greengrass.amazonaws.com": "AssociateRoleToGroup AssociateServiceRoleToAccount"},
    "greengrassv2": {"greengrass.amazonaws.com": "*"},
    "guardduty": {"malware-protection-plan.guardduty.amazonaws.com": "CreateMalwareProtectionPlan"},
    "imagebuilder": {
        "ec2.amazonaws.com": "CreateInfrastructureConfiguration UpdateInfrastructureConfiguration",
        "imagebuilder.amazonaws.com": "CreateImage CreateLifecyclePolicy ImportDiskImage StartResourceStateUpdate UpdateImagePipeline",
        "vmie.amazonaws.com": "CreateDistributionConfiguration",
    },
    "iot": {
        "iot.amazonaws.com": "CreateCommand CreateJob CreateJobTemplate CreateMitigationAction CreateProvisioningTemplate CreateRoleAlias CreateSecurityProfile CreateTopicRule CreateTopicRuleDestination ReplaceTopicRule SetLoggingOptions StartThingRegistrationTask UpdateAccountAuditConfiguration UpdateEncryptionConfiguration UpdateMitigationAction UpdatePackageConfiguration UpdateSecurityProfile UpdateStream",
    },
    "iotsitewise": {"iotsitewise.amazonaws.com": "CreatePortal UpdatePortal"},
    "iotwireless": {"iotwireless.amazonaws.com": "CreateDestination CreateFuotaTask"},
    "kafka": {"kafka.amazonaws.com": "CreateChannel"},
    "kafkaconnect": {"kafkaconnect.amazonaws.com": "*"},
    "kendra": {"kendra.amazonaws.com": "BatchPutDocument CreateDataSource UpdateDataSource"},
    "kinesis": {"kinesis.amazonaws.com": "*"},
    "kinesisanalytics": {
        "kinesisanalytics.amazonaws.com": "AddApplicationCloudWatchLoggingOption AddApplicationInput AddApplicationOutput AddApplicationReferenceDataSource CreateApplication DiscoverInputSchema UpdateApplication",
    },
    "kinesisanalyticsv2": {"kinesisanalytics.amazonaws.com": "CreateApplication DiscoverInputSchema UpdateApplication"},
    "lambda": {"lambda.amazonaws.com": "*"},
    "lexv2-models": {"lexv2.amazonaws.com": "CreateBot"},
    "logs": {
        "cloudtrail.amazonaws.com,logs.amazonaws.com": "CreateImportTask",
        "logs.amazonaws.com": "CreateScheduledQuery PutDestination PutSubscriptionFilter UpdateScheduledQuery",
    },
    "mediaconnect": {
        "mediaconnect.amazonaws.com": "AddFlowSources AddFlowVpcInterfaces CreateRouterInput CreateRouterOutput",
    },
    "mediaconvert": {"mediaconvert.amazonaws.com": "*"},
    "medialive": {"medialive.amazonaws.com": "CreateChannel CreateInput"},
    "mediapackage": {"mediapackage.amazonaws.com": "CreateHarvestJob CreateOriginEndpoint"},
    "mediapackage-vod": {"mediapackage-vod.amazonaws.com": "*"},
    "mediapackagev2": {"mediapackagev2.amazonaws.com": "CreateOriginEndpoint"},
    "mwaa": {"airflow.amazonaws.com": "*"},
    "neptune-graph": {"neptune-graph.amazonaws.com": "StartExportTask StartImportTask"},
    "opensearch": {
        "directquery.opensearchservice.amazonaws.com": "AddDataSource UpdateDataSource UpdateDirectQueryDataSource",
    },
    "osis": {"osis-pipelines.amazonaws.com": "*"},
    "pcs": {"ec2.amazonaws.com": "CreateComputeNodeGroup"},
    "pinpoint": {
        "mobiletargeting.amazonaws.com": "CreateExportJob CreateImportJob CreateJourney PutEventStream UpdateEmailChannel UpdateJourney UpdateRecommenderConfiguration",
    },
    "pipes": {"pipes.amazonaws.com": "*"},
    "proton": {"proton.amazonaws.com": "CreateEnvironment UpdateAccountSettings UpdateEnvironment"},
    "qbusiness": {
        "qbusiness.amazonaws.com": "BatchPutDocument CreateApplication CreateDataSource CreateRetriever CreateWebExperience UpdateDataSource",
    },
    "quicksight": {
        "quicksight.amazonaws.com": "CreateDataSource CreateVPCConnection UpdateActionConnector UpdateDataSource UpdateVPCConnection",
    },
    "rds": {"rds-preview.amazonaws.com,rds.amazonaws.com": "*"},
    "redshift": {"redshift.amazonaws.com": "CreateCluster ModifyClusterIamRoles RestoreFromClusterSnapshot"},
    "redshift-serverless": {"redshift-serverless.amazonaws.com": "*"},
    "rekognition": {"rekognition.amazonaws.com": "*"},
    "rolesanywhere": {"rolesanywhere.amazonaws.com": "UpdateProfile"},
    "rum": {"rum.amazonaws.com": "PutRumMetricsDestination"},
    "s3": {"s3.amazonaws.com": "PutBucketReplication"},
    "sagemaker": {
        "sagemaker.amazonaws.com": "CreateAIBenchmarkJob CreateAIRecommendationJob CreateAutoMLJobV2 CreateCluster CreateDomain CreateEndpointConfig CreateMlflowApp CreateModel CreateNotebookInstance CreatePartnerApp CreatePipeline CreateProcessingJob CreateProject CreateUserProfile",
    },
    "scheduler": {"scheduler.amazonaws.com": "*"},
    "secretsmanager": {"secretsmanager.amazonaws.com": "RotateSecret"},
    "securitylake": {
        "glue.amazonaws.com": "CreateCustomLogSource",
        "lambda.amazonaws.com,s3.amazonaws.com": "CreateDataLake",
    },
    "ses": {
        "ses.amazonaws.com": "CreateConfigurationSetEventDestination CreateReceiptRule UpdateConfigurationSetEventDestination",
    },
    "sesv2": {"ses.amazonaws.com": "*"},
    "snowball": {"importexport.amazonaws.com": "CreateCluster CreateJob"},
    "sns": {"sns.amazonaws.com": "*"},
    "ssm": {
        "ssm.amazonaws.com": "CreateActivation CreateAssociation CreateAssociationBatch CreateCloudConnector RegisterTaskWithMaintenanceWindow SendCommand StartAutomationExecution StartChangeRequestExecution UpdateMaintenanceWindowTask UpdateManagedInstanceRole",
    },
    "stepfunctions": {"states.amazonaws.com": "*"},
    "swf": {"swf.amazonaws.com": "*"},
    "synthetics": {"synthetics.amazonaws.com": "CreateCanary UpdateCanary"},
    "textract": {"textract.amazonaws.com": "*"},
    "transcribe": {
        "transcribe.amazonaws.com": "CreateLanguageModel CreateVocabulary CreateVocabularyFilter StartCallAnalyticsJob StartMedicalScribeJob StartTranscriptionJob UpdateVocabulary",
    },
    "transfer": {"transfer.amazonaws.com": "CreateAgreement CreateConnector CreateServer CreateUser"},
    "translate": {"translate.amazonaws.com": "*"},
    "workspaces": {"workspaces.amazonaws.com": "*"},
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
    "partnercentral-selling": {
        "AWSPartnerCentralFullAccess": ("resource-snapshot-job.partnercentral-selling.amazonaws.com", "*"),
    },
    "personalize": {
        "AmazonPersonalizeFullAccess": ("personalize.amazonaws.com", "*"),
    },
    "proton": {
        "AWSProtonFullAccess": ("proton.amazonaws.com", "*"),
    },
    "rolesanywhere": {
        "AWSRolesAnywhereFullAccess": ("rolesanywhere.amazonaws.com", "*"),
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
