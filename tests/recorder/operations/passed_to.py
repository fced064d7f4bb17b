"""The services that operations pass a role to, as AWS documents them: the values of `iam:PassedToService`.

From the tables of API operations in the service authorization reference, the page of each client's
service (`https://docs.aws.amazon.com/service-authorization/latest/reference/list_<service>.html`).
Only operations whose own entry there was read are named; `*` stands for the client's operations
that are not named, where the entries of all were read. Where the reference leaves the value empty
(CodeBuild's fleets, Cognito, Storage Gateway), and where the operation takes roles for several
services of which it names one (RequestSpotFleet), nothing is claimed. Role trust policies are no
source: a canary's role trusts Lambda and is passed to Synthetics.
"""

# ruff: noqa: E501  # names of AWS are as long as they are

from __future__ import annotations

from collections.abc import Mapping

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


def passed_to(client: str) -> dict[str, str]:
    """Return the services by operation, empty where none is documented."""
    documented = PASSED_TO.get(client, {})
    return {operation: services for services, listed in documented.items() for operation in listed.split()}
