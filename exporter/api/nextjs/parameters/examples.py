"""What the documents of parameters look like: the description shows it."""

from __future__ import annotations

from exporter.api.nextjs.parameters.documents import (
    Categories,
    CategoryParameters,
    OneParameter,
    ParameterItem,
    ParametersChanged,
    Rule,
)

CATEGORIES: Categories = {
    "categories": [
        {
            "id": "model",
            "name": "Model Parameters",
            "description": "Parameters affecting model behavior",
            "count": 15,
        }
    ]
}
RULE: Rule = {
    "type": "number",
    "min": 0.0,
    "max": 2.0,
    "step": 0.05,
    "description": "How random answers are; 0 always takes the likeliest token.",
    "group": "sampling",
    "option": "temperature",
}
TEMPERATURE: ParameterItem = {**RULE, "value": 0.7, "default": 0.8}
CATEGORY: CategoryParameters = {
    "category": "model",
    "name": "Model Parameters",
    "parameters": {"temperature": TEMPERATURE},
}
ONE_PARAMETER: OneParameter = {
    "parameter": "temperature",
    "category": "model",
    "value": 0.7,
    "default": 0.8,
    "metadata": RULE,
}
PARAMETERS_CHANGED: ParametersChanged = {
    "message": "Parameters updated successfully",
    "category": "model",
    "updated": ["temperature", "max_tokens", "top_p"],
    "requiresRestart": False,
    "restart": [],
    "saved": True,
}
