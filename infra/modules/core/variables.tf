variable "name" {
  description = "Part of every name: unique in all of Azure, with its env at the end, such as acme-dev."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,13}[a-z0-9]$", var.name))
    error_message = "name is 3 to 15 of a-z, 0-9 and -, beginning with a letter: names of storage accounts are made of it."
  }
}

variable "env" {
  description = "The environment, for tags."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,9}$", var.env))
    error_message = "env is a short word, such as dev."
  }
}

variable "location" {
  description = "Azure's region."
  type        = string
}

variable "entra_tenant_id" {
  description = "The directory that the vault trusts."
  type        = string
}

variable "address_space" {
  description = "The network: a /22 or larger. A quarter is for containers, a quarter for nodes."
  type        = string
  default     = "10.40.0.0/20"
  validation {
    condition     = can(cidrsubnet(var.address_space, 2, 0)) && tonumber(split("/", var.address_space)[1]) <= 22
    error_message = "address_space is a network of /22 or larger."
  }
}

variable "zone_redundant" {
  description = "Whether containers, images and files stand in several zones."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

variable "operators" {
  description = "Who is told of alerts: name to address."
  type        = map(string)
  default     = {}
}
