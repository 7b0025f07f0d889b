include "root" {
  path = find_in_parent_folders("root.hcl")
}

include "app" {
  path = find_in_parent_folders("app.hcl")
}

inputs = {
  app_id          = "APP_ID"
  api_replicas    = { min = 1, max = 5 }
  worker_replicas = { min = 0, max = 5 }
  jobs_at_once    = 4
  job_timeout_sec = 600
}
