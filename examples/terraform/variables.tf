variable "account_id" {
  description = "The AWS account."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the agent."
  type        = string
}

variable "subnets" {
  description = "Private subnets for the agent's tasks."
  type        = list(string)
}

variable "senders" {
  description = "Security groups of the services that report, by a name of yours."
  type        = map(string)
}

variable "cluster" {
  description = "Name or ARN of the ECS cluster."
  type        = string
}

variable "registry_arn" {
  description = "ARN of the Cloud Map service by whose name senders find the agent."
  type        = string
}

variable "file_system_id" {
  description = "EFS file system that keeps the snapshot."
  type        = string
}
