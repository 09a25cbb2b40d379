from tests.support.docker import _docker_engine_host, demo_image, docker_host

__all__ = ["_docker_engine_host", "demo_image", "docker_host"]
