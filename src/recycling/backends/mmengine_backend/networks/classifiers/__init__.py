"""What mmpretrain lacks: several heads or backbones; torchvision's; BEiT of any size.

A recipe names a module by its whole path, so nothing that needs torch is imported before a network
does::

    type="recycling.backends.mmengine_backend.networks.classifiers.multi_attribute_head.MultiAttributeHead"

They are in mmpretrain's registry, too, under their own names.
"""
