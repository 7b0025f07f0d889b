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

variable "registry_storage_name" {
  description = "The environment's storage that is the registry's share."
  type        = string
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

variable "node_key_secret" {
  description = "The secret of the vault that is the key of the nodes."
  type        = string
  default     = "rhino-compute-key"
}

variable "image_tag" {
  description = "The tag of the gateway's image: the commit that it was built of."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{40}$", var.image_tag))
    error_message = "image_tag is a whole commit id: a tag that moves would deploy nothing."
  }
}

variable "nodes" {
  description = "Rhino.Compute servers."
  type        = list(object({ name = string, url = string, slots = number, pools = list(string) }))
  validation {
    condition     = length(var.nodes) == length(distinct([for node in var.nodes : node.name]))
    error_message = "two nodes have one name."
  }
}

variable "jwt" {
  description = "Who issues users' tokens."
  type        = object({ jwks_url = string, issuer = string, audience = string })
}

variable "trusted_proxies" {
  description = "Networks whose X-Forwarded-For is believed."
  type        = list(string)
  default     = []
}

variable "external" {
  description = "Whether the gateway is reached from outside the environment: for previews that browsers ask for themselves."
  type        = bool
  default     = true
}

variable "size" {
  description = "Processors and memory."
  type        = object({ cpu = number, memory = string })
  default     = { cpu = 1, memory = "2Gi" }
}
