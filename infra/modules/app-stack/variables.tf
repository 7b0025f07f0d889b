# What the app is.

variable "app_id" {
  description = "The app. Names of containers end with it, and may have 32 characters."
  type        = string
  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9])*$", var.app_id)) && length(var.app_id) >= 2 && length(var.app_id) <= 24
    error_message = "app_id is 2 to 24 of a-z, 0-9 and single -, beginning with a letter: worker-<app_id> names a container app."
  }
}

variable "api_replicas" {
  description = "How many APIs run."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 5 }
  validation {
    condition     = var.api_replicas.min >= 0 && var.api_replicas.min <= var.api_replicas.max && var.api_replicas.max <= 300
    error_message = "api_replicas: 0 <= min <= max <= 300."
  }
}

variable "worker_replicas" {
  description = "How many workers run: as many as jobs ask for, between these."
  type        = object({ min = number, max = number })
  default     = { min = 0, max = 5 }
  validation {
    condition     = var.worker_replicas.min >= 0 && var.worker_replicas.min <= var.worker_replicas.max && var.worker_replicas.max <= 300
    error_message = "worker_replicas: 0 <= min <= max <= 300."
  }
}

variable "jobs_at_once" {
  description = "Jobs that one worker runs at one time, and that one more worker is started for."
  type        = number
  default     = 4
  validation {
    condition     = var.jobs_at_once >= 1 && floor(var.jobs_at_once) == var.jobs_at_once
    error_message = "jobs_at_once is a whole number, 1 at least."
  }
}

variable "job_timeout_sec" {
  description = "The longest that one attempt at a job may take."
  type        = number
  default     = 600
  validation {
    condition     = var.job_timeout_sec >= 1
    error_message = "job_timeout_sec is 1 at least."
  }
}

variable "image_tag" {
  description = "The tag of the app's images: the commit that they were built of."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{40}$", var.image_tag))
    error_message = "image_tag is a whole commit id: a tag that moves would deploy nothing."
  }
}

# Where it stands.

variable "env" {
  description = "The environment, for tags."
  type        = string
}

variable "location" {
  type = string
}

variable "resource_group_name" {
  type = string
}

variable "container_app_environment_id" {
  type = string
}

variable "container_app_environment_domain" {
  type = string
}

variable "acr_id" {
  type = string
}

variable "acr_login_server" {
  type = string
}

variable "key_vault_id" {
  type = string
}

variable "key_vault_uri" {
  type = string
}

variable "artifacts_account_id" {
  type = string
}

variable "artifacts_url" {
  description = "The blob endpoint of the account of artifacts."
  type        = string
}

variable "servicebus_namespace_id" {
  type = string
}

variable "servicebus_namespace_name" {
  type = string
}

variable "action_group_id" {
  description = "Who is told of alerts."
  type        = string
}

variable "app_server_url" {
  description = "The gateway."
  type        = string
}

variable "jwt" {
  description = "Who issues users' tokens."
  type        = object({ jwks_url = string, issuer = string, audience = string })
}
