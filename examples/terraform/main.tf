# The agent as an ECS service on Fargate, and the role with which `credwatch-agent snapshot` reads the account.
# The documents are those of ../ecs and ../iam. Parsed by a test, never planned or applied by it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  agent    = jsondecode(file("${path.module}/../ecs/agent-fargate.json"))
  snapshot = jsondecode(file("${path.module}/../ecs/snapshot.json"))
}

# --- what the agent may read ---------------------------------------------------------------------

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_iam_role" "agent" {
  name               = "credwatch-agent"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy" "agent" {
  name   = "read-what-is-attached"
  role   = aws_iam_role.agent.id
  policy = file("${path.module}/../iam/credwatch-agent-policy.json")
}

# --- what ECS does for the tasks -----------------------------------------------------------------

resource "aws_iam_role" "execution" {
  name               = "credwatch-agent-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "secrets" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = distinct([for secret in flatten([for container in local.agent.containerDefinitions : try(container.secrets, [])]) : secret.valueFrom])
  }
}

resource "aws_iam_role_policy" "secrets" {
  name   = "secrets"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.secrets.json
}

resource "aws_cloudwatch_log_group" "agent" {
  name              = "/ecs/credwatch-agent"
  retention_in_days = 30
}

# --- the service ---------------------------------------------------------------------------------

resource "aws_security_group" "agent" {
  name   = "credwatch-agent"
  vpc_id = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "otlp" {
  for_each                     = var.senders
  security_group_id            = aws_security_group.agent.id
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 4317
  to_port                      = 4318
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.agent.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_ecs_task_definition" "agent" {
  family                   = local.agent.family
  network_mode             = local.agent.networkMode
  requires_compatibilities = local.agent.requiresCompatibilities
  cpu                      = local.agent.cpu
  memory                   = local.agent.memory
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode(local.agent.containerDefinitions)

  volume {
    name = "files"
  }
}

resource "aws_ecs_service" "agent" {
  name            = "credwatch-agent"
  cluster         = var.cluster
  task_definition = aws_ecs_task_definition.agent.arn
  desired_count   = 2
  launch_type     = "FARGATE"

  network_configuration {
    subnets         = var.subnets
    security_groups = [aws_security_group.agent.id]
  }

  service_registries {
    registry_arn = var.registry_arn
  }
}

# --- a snapshot, run as a task -------------------------------------------------------------------

resource "aws_ecs_task_definition" "snapshot" {
  family                   = local.snapshot.family
  network_mode             = local.snapshot.networkMode
  requires_compatibilities = local.snapshot.requiresCompatibilities
  cpu                      = local.snapshot.cpu
  memory                   = local.snapshot.memory
  task_role_arn            = aws_iam_role.agent.arn
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = jsonencode(local.snapshot.containerDefinitions)

  volume {
    name = "account"
    efs_volume_configuration {
      file_system_id     = var.file_system_id
      transit_encryption = "ENABLED"
    }
  }

  volume {
    name = "tmp"
  }
}
