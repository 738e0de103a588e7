"""A negative control: the warden acts before its leaf is durable, and without one."""

import importlib.util
import sys


class _Forgetful:
    """Finds the writer's module, and takes its patience away."""

    def find_spec(self, name, *_):
        if name != "vault.warden.writer":
            return None
        sys.meta_path.remove(self)

        spec = importlib.util.find_spec(name)
        found = spec.loader.exec_module

        def forget(module):
            found(module)
            append = module.LeafWriter.append

            def appended(writer, leaves, *, deadline_s):
                try:
                    append(writer, leaves, deadline_s=deadline_s)
                except module.AuditUnavailableError:
                    return

            module.LeafWriter.append = appended

        spec.loader.exec_module = forget
        return spec


sys.meta_path.insert(0, _Forgetful())
