"""What the documents of models look like: the description shows it."""

from __future__ import annotations

from exporter.api.nextjs.models.documents import (
    DiscoveredFile,
    Discovery,
    Loading,
    ModelItem,
    ModelList,
    OneModel,
    Registration,
    Removed,
    Started,
    Unloading,
    Updated,
)
from exporter.models.model import Status

NOW = "2026-11-20T08:32:30.000Z"
BEFORE = "2026-11-20T08:02:11.250Z"
MODEL: ModelItem = {
    "id": "llama-2-7b-chat",
    "name": "llama-2-7b-chat",
    "description": "Chat model for Llama 2",
    "status": Status.RUNNING,
    "version": "2.0",
    "path": "/srv/models/llama-2-7b-chat.gguf",
    "size": 3758096384,
    "family": "llama",
    "contextSize": 4096,
    "loadedAt": BEFORE,
    "lastUsed": NOW,
    "format": "gguf",
    "quantization": "Q4_K_M",
    "registered": True,
    "upstream": "llama-server",
    "error": None,
    "outdated": False,
    "parameters": {"n_ctx": 4096},
    "createdAt": "2026-11-18T16:20:01.004Z",
    "updatedAt": BEFORE,
    "type": "llama",
    "available": True,
}
LIST: ModelList = {"count": 1, "models": [MODEL], "success": True, "data": [MODEL], "timestamp": NOW}
ONE: OneModel = {**MODEL, "success": True, "data": MODEL, "timestamp": NOW}
REGISTRATION: Registration = {
    "message": "Model registered successfully",
    "registered": 1,
    "models": [{"id": "llama-2-7b-chat", "name": "llama-2-7b-chat", "status": "registered"}],
    "success": True,
    "data": [MODEL],
    "timestamp": NOW,
}
UPDATED: Updated = {
    "message": "Model updated successfully",
    "requiresRestart": False,
    "restart": [],
    "success": True,
    "data": MODEL,
    "timestamp": NOW,
}
REMOVED: Removed = {
    "message": "Model removed successfully",
    "modelId": "llama-2-7b-chat",
    "success": True,
    "timestamp": NOW,
}
FILE: DiscoveredFile = {
    "name": "llama-3-8b-instruct",
    "description": "Llama 3 8B Instruct",
    "version": "3.0",
    "path": "/srv/models/llama-3-8b-instruct.gguf",
    "family": "llama",
    "size": 8540000000,
    "format": "gguf",
    "quantization": "Q4_K_M",
    "contextSize": 8192,
}
DISCOVERY: Discovery = {
    "discovered": [FILE],
    "scannedPaths": ["/srv/models"],
    "totalFound": 2,
    "errors": [{"path": "/srv/models/broken.gguf", "error": "not a GGUF file"}],
    "success": True,
    "data": {"discovered": [FILE]},
    "timestamp": NOW,
}
LOADING: Loading = {
    "message": "Model loading initiated",
    "modelId": "llama-2-7b-chat",
    "status": Status.LOADING,
    "estimatedTime": 30.0,
    "success": True,
    "timestamp": NOW,
}
UNLOADING: Unloading = {
    "message": "Model unloading initiated",
    "modelId": "llama-2-7b-chat",
    "status": Status.UNLOADING,
    "success": True,
    "timestamp": NOW,
}
STARTED: Started = {
    "model": "llama-2-7b-chat",
    "status": "loaded",
    "message": "Model llama-2-7b-chat is loaded",
    "success": True,
    "data": MODEL,
    "timestamp": NOW,
}
STOPPED: Started = {
    "model": "llama-2-7b-chat",
    "status": "stopped",
    "message": "Model llama-2-7b-chat is not loaded",
    "success": True,
    "data": {**MODEL, "status": Status.STOPPED, "loadedAt": None},
    "timestamp": NOW,
}
