variable "env" {
  description = "The environment, for tags."
  type        = string
}

variable "pool" {
  description = "The label of the machines: an app whose policy says `\"node_pool\": \"<pool>\"` is solved on these only. `default` serves all others."
  type        = string
  default     = "default"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}$", var.pool))
    error_message = "pool is at most 15 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "app_id" {
  description = "Who pays: the app that has the pool for itself, else `platform`."
  type        = string
  default     = "platform"
}

variable "location" {
  type = string
}

variable "resource_group_name" {
  type = string
}

variable "subnet_id" {
  type = string
}

variable "key_vault_id" {
  type = string
}

variable "secrets" {
  description = "Secrets of the vault that the machines read at start: their key, and the token of Rhino's license."
  type        = list(string)
  default     = ["rhino-compute-key", "rhino-token"]
}

variable "image_id" {
  description = "The image with Windows, Rhino, Rhino.Compute and the plug-ins: what is attested is made once, and not at start."
  type        = string
}

variable "size" {
  description = "The kind of machine."
  type        = string
  default     = "Standard_D8s_v5"
}

variable "instances" {
  description = "How many machines."
  type        = number
  default     = 2
  validation {
    condition     = var.instances >= 1 && floor(var.instances) == var.instances
    error_message = "instances is a whole number, 1 at least."
  }
}

variable "slots" {
  description = "Children of Rhino.Compute on each: solves at one time."
  type        = number
  default     = 4
  validation {
    condition     = var.slots >= 1 && floor(var.slots) == var.slots
    error_message = "slots is a whole number, 1 at least."
  }
}

variable "admin_password" {
  description = "Windows wants one. Nobody logs in with it: the network lets nobody in but the gateway."
  type        = string
  sensitive   = true
}
